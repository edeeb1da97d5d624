"""What one call of an offer measured, and how an audit record has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toolcrib_registry.types import CallRecord
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.measured import key_of

_NOT_ITS_FAULT = frozenset(
    {"ok", "cancelled", "request-refused", "context-too-long", "not-callable"}
)
OFFER_KEY = "offer"
"""Where an audit record of a model's call says which offer it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One call of one offer. Without a stream there is no first token to measure."""

    at: datetime
    outcome: str
    duration_ms: float
    id: str = ""
    """Of its audit record."""
    first_token_ms: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    guessed_in: int | None = None
    """How many tokens were expected to be sent, by the bytes."""
    estimated: bool = False
    """The provider did not say how many tokens, or not in a way that makes sense."""
    cost_usd: float | None = None
    """By the provider's own word, else by the prices; None when neither is known."""
    told_usd: float | None = None
    """The provider's own word."""
    priced_usd: float | None = None
    """By the prices, where the provider told."""

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
        return max(self.duration_ms - self.first_token_ms, 0.0) / (self.tokens_out - 1)


def offer_key(candidate: Candidate) -> str:
    """Name an offer across calls: its model, its provider, and its name there."""
    return key_of(candidate.model.name, candidate.offer)


def shape_of_call(measured: Measured, key: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was measured beside the shape of the arguments in an audit record."""
    told: dict[str, Any] = {}
    if measured.told_usd is not None:
        told = {"told_usd": measured.told_usd, "priced_usd": measured.priced_usd}
    return {
        **shape,
        OFFER_KEY: key,
        "tokens_in": measured.tokens_in,
        "tokens_out": measured.tokens_out,
        "guessed_in": measured.guessed_in,
        "estimated": measured.estimated,
        "cost_usd": measured.cost_usd,
        "first_token_ms": measured.first_token_ms,
        **told,
    }


def measured_in(record: CallRecord) -> Measured:
    """Read what was measured from an audit record."""
    shape = record.argument_shape
    return Measured(
        id=record.id,
        at=record.at,
        outcome=record.outcome,
        duration_ms=record.duration_ms,
        first_token_ms=shape.get("first_token_ms"),
        tokens_in=int(shape.get("tokens_in") or 0),
        tokens_out=int(shape.get("tokens_out") or 0),
        guessed_in=shape.get("guessed_in"),
        estimated=bool(shape.get("estimated")),
        cost_usd=shape.get("cost_usd"),
        told_usd=shape.get("told_usd"),
        priced_usd=shape.get("priced_usd"),
    )
