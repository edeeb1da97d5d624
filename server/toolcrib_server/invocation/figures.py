"""What calls of each offer measured lately: latency, errors, tokens and cost, as rolling figures.

Filled from the audit records, so that what one process measured is known to the next.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from toolcrib_registry.types import CallRecord
from toolcrib_server.selection.candidate import Candidate

_WINDOW = 200
"""Calls of an offer that the figures are about."""
_NOT_ITS_FAULT = frozenset(
    {"ok", "cancelled", "request-refused", "context-too-long", "budget-exceeded", "not-permitted"}
)
OFFER_KEY = "offer"
"""Where an audit record of a model's call says which offer it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One call of one offer. Without a stream there is no first token to measure."""

    at: datetime
    outcome: str
    duration_ms: float
    first_token_ms: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = False
    """The provider did not say how many tokens, or not in a way that makes sense."""
    cost_usd: float | None = None
    """None when a price is unknown."""

    @property
    def failed(self) -> bool:
        """Whether the offer is to blame."""
        return self.outcome not in _NOT_ITS_FAULT

    @property
    def per_token_ms(self) -> float | None:
        """How long each token took after the first."""
        if self.outcome != "ok" or self.tokens_out < 2:  # noqa: PLR2004  # one has no next
            return None
        if self.first_token_ms is None:
            return self.duration_ms / self.tokens_out
        return (self.duration_ms - self.first_token_ms) / (self.tokens_out - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """An offer's figures over its last calls."""

    calls: int
    error_rate: float
    first_token_ms_p50: float | None
    first_token_ms_p95: float | None
    per_token_ms_p50: float | None
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """Of the calls whose price is known; None when it is of none."""
    last_at: datetime
    last_error: str | None


class OfferFigures(Protocol):
    """Keeps what calls measured."""

    def note(self, key: str, measured: Measured) -> None:
        """Take note of one call; returns at once."""
        ...

    def find(self, key: str) -> Figures | None:
        """Give an offer's figures; None when it was never called."""
        ...


def offer_key(candidate: Candidate) -> str:
    """Name an offer across calls: its model, its provider, and its name there."""
    offer = candidate.offer
    where = f"{offer.provider}/{offer.remote_model}" if offer else ""
    return f"{candidate.model.name}@{where}"


class RollingFigures:
    """Keeps the last calls of each offer, in memory."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[Measured]] = {}

    def note(self, key: str, measured: Measured) -> None:
        """Take note of one call; returns at once."""
        self._calls.setdefault(key, deque(maxlen=_WINDOW)).append(measured)

    def find(self, key: str) -> Figures | None:
        """Give an offer's figures; None when it was never called."""
        calls = self._calls.get(key)
        return _summary(calls) if calls else None

    def recall(self, records: Iterable[CallRecord]) -> None:
        """Take up what audit records say; they come newest first, and go behind what is known."""
        found: dict[str, list[Measured]] = {}
        for record in records:
            key = record.argument_shape.get(OFFER_KEY)
            if isinstance(key, str):
                found.setdefault(key, []).append(measured_in(record))
        for key, old in found.items():
            known = self._calls.get(key, ())
            self._calls[key] = deque([*reversed(old), *known], maxlen=_WINDOW)


def shape_of_call(measured: Measured, key: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was measured beside the shape of the arguments in an audit record."""
    return {
        **shape,
        OFFER_KEY: key,
        "tokens_in": measured.tokens_in,
        "tokens_out": measured.tokens_out,
        "estimated": measured.estimated,
        "cost_usd": measured.cost_usd,
        "first_token_ms": measured.first_token_ms,
    }


def measured_in(record: CallRecord) -> Measured:
    """Read what was measured from an audit record."""
    shape = record.argument_shape
    return Measured(
        at=record.at,
        outcome=record.outcome,
        duration_ms=record.duration_ms,
        first_token_ms=shape.get("first_token_ms"),
        tokens_in=int(shape.get("tokens_in") or 0),
        tokens_out=int(shape.get("tokens_out") or 0),
        estimated=bool(shape.get("estimated")),
        cost_usd=shape.get("cost_usd"),
    )


def _summary(calls: Sequence[Measured]) -> Figures:
    first = sorted(c.first_token_ms for c in calls if c.first_token_ms is not None)
    each = [c.per_token_ms for c in calls if c.per_token_ms is not None]
    costs = [c.cost_usd for c in calls if c.cost_usd is not None]
    return Figures(
        calls=len(calls),
        error_rate=sum(c.failed for c in calls) / len(calls),
        first_token_ms_p50=statistics.median(first) if first else None,
        first_token_ms_p95=first[min(len(first) * 95 // 100, len(first) - 1)] if first else None,
        per_token_ms_p50=statistics.median(each) if each else None,
        tokens_in=sum(c.tokens_in for c in calls),
        tokens_out=sum(c.tokens_out for c in calls),
        cost_usd=sum(costs) if costs else None,
        last_at=calls[-1].at,
        last_error=next((c.outcome for c in reversed(calls) if c.failed), None),
    )
