"""What a caller weighs, in words that need no unit: quality against cost against latency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from toolcrib_registry.errors import InvalidInput

if TYPE_CHECKING:
    from toolcrib_server.selection.routing.choice import Preference

_LEAST: Final = 1e-6
"""Stands for a quality that counts for nothing, so that it still breaks a tie."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What counts as one of cost and of latency: the dearest and the slowest model, on average."""

    cost_usd: float | None
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each counts: the score, from 0 to 1, and cost and latency, by their `Scales`."""

    quality: float = 1.0
    cost: float = 0.0
    latency: float = 0.0
    max_cost_usd: float | None = None
    """Expected, for one call. Unknown is beyond every budget."""
    max_latency_ms: float | None = None
    default: str | None = None
    """The model that is kept unless another's gain is certain; else the operator's."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for but quality."""
        return self == Weights(quality=self.quality, default=self.default)

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidInput: A weight or budget is below zero, or nothing counts.
        """
        for name in ("quality", "cost", "latency", "max_cost_usd", "max_latency_ms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidInput(f"{name} is {value}; give 0 or more.")
        if not (self.quality or self.cost or self.latency):
            raise InvalidInput("quality, cost and latency are all 0: one of them has to count.")

    def preference(self, scales: Scales, *, default: str | None) -> Preference:
        """Say what a score is worth; the weight of what nobody measured decides nothing."""
        from toolcrib_server.selection.routing.choice import Preference  # noqa: PLC0415  # slow

        quality = max(self.quality, _LEAST)
        made = Preference(
            max_cost_usd=self.max_cost_usd,
            max_latency_ms=self.max_latency_ms,
            default=self.default or default,
        )
        if scales.cost_usd:
            made = replace(made, score_per_usd=self.cost / quality / scales.cost_usd)
        if scales.latency_s:
            made = replace(made, score_per_second=self.latency / quality / scales.latency_s)
        return made

    def prefer(self, dearest_usd: float | None, slowest_s: float | None) -> Preference:
        """Say what a score is worth where the dearest and the slowest call are known."""
        return self.preference(Scales(dearest_usd, slowest_s), default=None)


PLAIN: Final = Weights()
