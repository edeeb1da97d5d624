"""How much better another model must look than the default, before it takes the default's place.

Read off past queries, judged as if they were new: the margin at which going by predictions would
have gained most. Where that gain is no larger than its own standard error, nothing takes its place.
"""

from __future__ import annotations

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
    totals = np.cumsum(realised[order]) / len(order)
    squares = np.cumsum(realised[order] ** 2) / len(order)
    cuts = np.unique(np.linspace(0, len(order) - 1, _STEPS).astype(np.int64))
    # A margin below zero would take the place of a default that looks better.
    cuts = cuts[expected[order][cuts] > 0]
    if not len(cuts):
        return Margin(np.inf, 0.0, 0.0, len(order))
    cut = cuts[totals[cuts].argmax()]
    gain = float(totals[cut])
    error = float(np.sqrt(max(squares[cut] - gain**2, 0.0) / len(order)))
    if gain <= _ERRORS * error:
        return Margin(np.inf, gain, error, len(order))
    least = float(expected[order][cut])
    is_last = cut == cuts[-1]
    return Margin(0.0 if is_last else least, gain, error, len(order))
