"""One model out of those whose quality, cost and latency are expected: by weights or a budget.

Each step leaves a record: what was expected of whom, who is beaten by nobody, what the default is,
and why it was kept or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from toolcrib_registry.errors import InvalidInput

from .arrays import Floats
from .margin import Margin
from .pareto import on_front

_WORTH_SAYING: Final = 0.02
"""Share of calls that fail."""
_NINETY: Final = 1.645
"""Standard deviations of an interval that holds 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What quality is weighed against. By itself: the best expected score, whatever it costs."""

    score_per_usd: float = 0.0
    """How much of the score (0 to 1) a dollar is worth."""
    score_per_second: float = 0.0
    max_cost_usd: float | None = None
    """Expected, for this query. Unknown is beyond every budget."""
    max_latency_ms: float | None = None
    default: str | None = None
    """The operator's own choice; without one, the model with the best mean score."""

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidInput: A weight or budget is below zero.
        """
        for name in ("score_per_usd", "score_per_second", "max_cost_usd", "max_latency_ms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidInput(f"{name} is {value}; it must be 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is expected of one model for one query, and on what ground."""

    model: str
    quality: float
    spread: float
    evidence: float
    """How many outcomes of this very query would tell as much."""
    outcomes: int
    """Outcomes of the model that were learned from."""
    cost_usd: float | None = None
    latency_ms: float | None = None
    reliability: float = 1.0
    """The share of its calls that is not sure to fail."""
    ground: str | None = None
    """Which calls its cost and latency were measured over; None where none was."""
    utility: float = 0.0
    on_front: bool = False
    """Whether no other is at least as good in quality, cost and latency, and better in one."""
    within_budget: bool = True

    @property
    def low(self) -> float:
        """The lower end of the 90 % interval of its quality."""
        return max(0.0, self.quality - _NINETY * self.spread)

    @property
    def high(self) -> float:
        """The upper end."""
        return min(1.0, self.quality + _NINETY * self.spread)

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        ground = f"{self.outcomes} outcomes" if self.outcomes else "its descriptor alone"
        return (
            f"Expected score {self.quality:.2f} ({self.low:.2f} to {self.high:.2f}, from {ground},"
            f" worth {self.evidence:.0f} of this query)." + self._measured
        )

    @property
    def _measured(self) -> str:
        if self.ground is None:
            return ""
        cost = "an unknown sum" if self.cost_usd is None else f"about {self.cost_usd:.2g} USD"
        time = "" if self.latency_ms is None else f", {self.latency_ms / 1e3:.2g} s"
        lost = 1 - self.reliability
        fails = f"; at least {lost:.0%} of its calls fail" if lost > _WORTH_SAYING else ""
        return f" A call costs {cost}{time} ({self.ground}{fails})."


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedChoice:
    """The model chosen, and why. Without a model, no candidate is within the budget."""

    model: str | None
    default: str | None
    """What was held against it."""
    gain: float
    """Expected utility above the default's."""
    uncertainty: float
    """What the gain had to exceed."""
    reasons: tuple[str, ...]
    ranked: tuple[Expectation, ...]
    """Every candidate: within the budget first, then by utility."""


def weigh(expected: tuple[Expectation, ...], preference: Preference) -> tuple[Expectation, ...]:
    """Mark the Pareto set and who is within the budget, and rank."""
    # An answer that does not come is worth nothing.
    quality = np.array([one.quality * one.reliability for one in expected])
    cost = _known([one.cost_usd for one in expected])
    latency = _known([one.latency_ms for one in expected])
    front = on_front(quality, cost, latency)
    utility = utilities(quality, cost, latency, preference)
    weighed = [
        replace(
            one,
            utility=float(utility[place]),
            on_front=bool(front[place]),
            within_budget=_within(one, preference),
        )
        for place, one in enumerate(expected)
    ]
    return tuple(sorted(weighed, key=lambda one: (not one.within_budget, -one.utility, one.model)))


def utilities(quality: Floats, cost: Floats, latency: Floats, preference: Preference) -> Floats:
    """Weigh quality against cost and latency. An unknown cost counts as the dearest known."""
    utility = quality.astype(np.float64, copy=True)
    for weight, values in (
        (preference.score_per_usd, cost),
        (preference.score_per_second / 1e3, latency),
    ):
        if weight and not np.isnan(values).all():
            utility -= weight * np.where(np.isnan(values), np.nanmax(values), values)
    return utility


def choose(ranked: tuple[Expectation, ...], *, default: str | None, margin: Margin) -> RoutedChoice:
    """Choose from what `weigh` ranked: the first, unless the default must be kept."""
    able = [one for one in ranked if one.within_budget]
    if not able:
        reason = "No candidate is expected to stay within the budget."
        return RoutedChoice(
            model=None, default=default, gain=0.0, uncertainty=0.0, reasons=(reason,), ranked=ranked
        )
    best = able[0]
    held = next((one for one in able if one.model == default), None)
    if held is None or held is best:
        reasons = (_first(best, default, held), best.reason)
        return RoutedChoice(
            model=best.model,
            default=default,
            gain=0.0,
            uncertainty=0.0,
            reasons=reasons,
            ranked=ranked,
        )
    return _against(best, held, ranked, margin)


def _against(
    best: Expectation, held: Expectation, ranked: tuple[Expectation, ...], margin: Margin
) -> RoutedChoice:
    gain = best.utility - held.utility
    own = float(np.hypot(best.spread, held.spread))
    needed = own if margin.least is None else margin.least
    # Where past queries of such kinds could be judged, their verdict is the uncertainty.
    is_better = gain > needed
    chosen = best if is_better else held
    verb = "takes the place of" if is_better else "does not take the place of"
    limit = "never enough" if np.isinf(needed) else f"more than {needed:.3f} was needed"
    return RoutedChoice(
        model=chosen.model,
        default=held.model,
        gain=gain,
        uncertainty=needed,
        reasons=(
            (
                f"{best.model} {verb} the default {held.model}: expected gain {gain:+.3f}, "
                f"{limit} ({margin.reason})."
            ),
            chosen.reason,
        ),
        ranked=ranked,
    )


def _first(best: Expectation, default: str | None, held: Expectation | None) -> str:
    if held is not None:
        return f"{best.model} is the default, and nothing is expected to do better."
    if default is None:
        return f"{best.model} has the highest expected utility."
    return f"{best.model} has the highest utility; the default {default} is not among the able."


def _within(one: Expectation, preference: Preference) -> bool:
    pairs = (
        (preference.max_cost_usd, one.cost_usd),
        (preference.max_latency_ms, one.latency_ms),
    )
    return all(most is None or (value is not None and value <= most) for most, value in pairs)


def _known(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
