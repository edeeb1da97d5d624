"""What calls of an offer measured, as values; and how an offer is named across calls.

Knows nothing of who measures. A figure that was not measured is None: it is never guessed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from toolcrib_registry.types import Known, Offer

FEWEST_FOR_FACT: Final = 20
"""Calls; a 95th percentile, or an error rate, of fewer is no fact that a limit may rest on."""
SURELY_FAILS: Final = 0.25
"""An offer whose calls surely fail more often than this ranks behind those that do not."""
PRIOR_TOKENS_OUT: Final = 250.0
"""How long an answer is taken to be while nobody measured any."""
_PRIOR_CALLS: Final = 20.0
_MODEL_CALLS: Final = 10.0
"""Calls' worth of what all models do, beside what one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """An offer's figures over its last calls, since it last changed."""

    calls: int
    error_rate: float
    first_token_ms_p50: float | None
    first_token_ms_p95: float | None
    per_token_ms_p50: float | None
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """Of the calls whose cost is known; None when it is of none."""
    last_at: datetime
    last_error: str | None
    answered: int = 0
    """Calls that were answered with text: what output lengths and latencies are of."""
    streamed: int = 0
    """Those of which the first token was timed."""
    latency_ms_p50: float | None = None
    latency_ms_p95: float | None = None
    base_ms: float | None = None
    """What a call takes by itself, and for each token of the answer."""
    slope_ms: float = 0.0
    tokens_out_mean: float | None = None
    guessed_in: int = 0
    counted_in: int = 0
    """Tokens that were expected to be sent, and those that providers counted, of the same calls."""
    priced_usd: float = 0.0
    told_usd: float = 0.0
    told: int = 0
    """What calls cost by their prices, and by the provider's own word, of the same calls."""
    told_tokens: int = 0
    failing: float = 0.0
    """The expected share of failures: lately, drawn to none where calls are few."""
    surely_failing: float = 0.0
    """The lower end of that: a bound that chance alone hardly reaches."""
    since: datetime | None = None
    """Of the first call counted."""
    changed: str | None = None
    """What changed then, where older calls are left out for it."""

    @property
    def source(self) -> str:
        """Say where a figure is from."""
        return f"measured over {self.calls} calls"

    @property
    def ground(self) -> str:
        """Say it with the day of the last call."""
        return f"{self.source}, {self.last_at.date()}"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Answers' lengths in tokens, of one model or of all."""

    answers: int = 0
    tokens: float = 0.0

    def mean(self, prior: float, weight: float) -> float:
        """Give the mean, drawn to ``prior`` as if that were seen ``weight`` times."""
        return (self.tokens + weight * prior) / (self.answers + weight)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All figures at one time. ``version`` differs wherever they do."""

    version: int = 0
    by_offer: Mapping[str, Figures] = field(default_factory=dict[str, Figures])
    lengths: Mapping[str, Lengths] = field(default_factory=dict[str, Lengths])
    """By the name of the model."""
    all_lengths: Lengths = Lengths()

    def find(self, key: str) -> Figures | None:
        """Give an offer's figures; None when it was never called."""
        return self.by_offer.get(key)

    @property
    def typical_out(self) -> float:
        """How long an answer of any model is expected to be."""
        return self.all_lengths.mean(PRIOR_TOKENS_OUT, _PRIOR_CALLS)

    def expected_out(self, model: str) -> float:
        """How long an answer of a model is expected to be, by its own answers and all others'."""
        own = self.lengths.get(model)
        return self.typical_out if own is None else own.mean(self.typical_out, _MODEL_CALLS)


NOTHING_MEASURED: Final = Measurements()


class Measuring(Protocol):
    """Whoever keeps figures."""

    def current(self) -> Measurements:
        """Give them as they are now; cheap, from any thread."""
        ...

    async def ready(self) -> None:
        """Have what was measured before been read."""
        ...


class Unmeasured:
    """Where no call is ever measured."""

    def current(self) -> Measurements:
        """Give none."""
        return NOTHING_MEASURED

    async def ready(self) -> None:
        """Return at once."""


def key_of(model: str, offer: Offer | None) -> str:
    """Name an offer across calls: its model, its provider, and its name there."""
    where = f"{offer.provider}/{offer.remote_model}" if offer else ""
    return f"{model}@{where}"


def as_fact(value: float | None, calls: int, figures: Figures) -> Known[float] | None:
    """Turn a figure into a fact, where enough calls stand behind it."""
    if value is None or calls < FEWEST_FOR_FACT:
        return None
    return Known(value, f"measured over {calls} calls", figures.last_at.date())
