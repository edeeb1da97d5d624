"""How much better another model must look than the default, before it takes the default's place.

Read off past queries, judged as if they were new: the least margin at which going by predictions
would have gained as much as at the best, give or take a standard error of the difference. Where
that gain is no larger than its own standard error, nothing takes the default's place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Booleans, Floats

FEWEST: Final = 20
"""Past queries on which both models' outcomes are known; fewer judge nothing."""
_STEPS: Final = 25
_ERRORS: Final = 1.5
"""Standard errors that the whole gain must exceed; above one, for the best cut was sought."""


@dataclass(frozen=True, slots=True)
class Margin:
    """The least predicted gain that counts; infinite: keep the default; None: not judged."""

    least: float | None
    gain: float
    """What going by it gained on past queries, a query."""
    error: float
    """The standard error of that."""
    judged: int
    """Past queries that could be judged."""

    @property
    def reason(self) -> str:
        """Say where it comes from."""
        if self.least is None:
            return f"only {self.judged} past queries could be judged"
        if np.isinf(self.least):
            return f"on {self.judged} past queries predictions gained nothing for certain"
        return (
            f"on {self.judged} past queries, going by gains above {self.least:.3f} gained "
            f"{self.gain:+.3f} ± {self.error:.3f}"
        )


def learn_margin(
    predicted: Floats, actual: Floats, *, default: int, allowed: Booleans | None = None
) -> Margin:
    """Learn it from utilities, predicted without their own outcome and actual: queries by models.

    ``allowed`` marks the models among which a choice is made.
    """
    open_ = np.ones(predicted.shape[1], dtype=np.bool_) if allowed is None else allowed
    rivals = np.where(open_, predicted, -np.inf)
    best = rivals.argmax(axis=1)
    rows = np.arange(len(predicted))
    expected = predicted[rows, best] - predicted[:, default]
    realised = actual[rows, best] - actual[:, default]
    known = ~np.isnan(realised)
    if known.sum() < FEWEST:
        return Margin(None, 0.0, 0.0, int(known.sum()))
    return _best(expected[known], realised[known])


def _best(expected: Floats, realised: Floats) -> Margin:
    order = np.argsort(-expected, kind="stable")
    count = len(order)
    totals = (np.cumsum(realised[order]) / count).tolist()
    squares = (np.cumsum(realised[order] ** 2) / count).tolist()
    steps = np.unique(np.linspace(0, count - 1, _STEPS).astype(np.int64)).tolist()
    # A margin below zero would take the place of a default that looks better.
    cuts = [cut for cut in steps if expected[order[cut]] > 0]
    if not cuts:
        return Margin(np.inf, 0.0, 0.0, count)
    sums = [_Sum(totals[cut], squares[cut], count) for cut in cuts]
    best = max(range(len(cuts)), key=lambda place: sums[place].gain)
    if not sums[best].is_certain:
        return Margin(np.inf, sums[best].gain, sums[best].error, count)
    last = _furthest(sums, best)
    least = 0.0 if last == len(cuts) - 1 else float(expected[order[cuts[last]]])
    return Margin(least, sums[last].gain, sums[last].error, count)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What going by predictions down to a cut gained: the mean over all queries."""

    gain: float
    square: float
    count: int

    @property
    def error(self) -> float:
        return math.sqrt(max(self.square - self.gain**2, 0.0) / self.count)

    @property
    def is_certain(self) -> bool:
        return self.gain > _ERRORS * self.error

    def less(self, other: _Sum) -> _Sum:
        """Take off what a cut nearer to the top gained: what is gained between the two."""
        return _Sum(self.gain - other.gain, self.square - other.square, self.count)


def _furthest(sums: Sequence[_Sum], best: int) -> int:
    """Go beyond the best cut as far as what is lost by it may be chance.

    The best of many cuts is best by luck too, and keeps the default more often than it should.
    """
    for place in range(len(sums) - 1, best, -1):
        beyond = sums[place].less(sums[best])
        if -beyond.gain <= beyond.error and sums[place].is_certain:
            return place
    return best
