"""Whether a series is no longer what it was, and since when. Pure numbers, the oldest first.

The window is cut in two at every place, as ADWIN does (Bifet and Gavaldà, Learning from
Time-Changing Data with Adaptive Windowing, 2007), and the older part is to be dropped where the
parts differ. Its bound is too wide for a few hundred values; Welch's statistic stands in its place.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

FEWEST: Final = 20
"""Values on either side of a cut."""
BOUND: Final = 4.5
"""Standard errors between the sides: every place and every series is asked each time."""
_LEAST_VARIANCE: Final = 0.01
"""Of values from 0 to 1: some equal ones are no proof of certainty."""
_CUTS: Final = 64


@dataclass(frozen=True, slots=True)
class Change:
    """Where a series changed: the place of the first value of what it is now."""

    place: int
    shift: float
    errors: float
    """The shift in standard errors; below zero the values fell."""


def find_change(
    values: Sequence[float],
    *,
    fewest: int = FEWEST,
    bound: float = BOUND,
    places: Collection[int] | None = None,
) -> Change | None:
    """Find the cut at which the two sides differ most, if they differ beyond chance.

    Values are from 0 to 1; for others give their `ranks`. ``places`` are those where a cut may be:
    what came at one time has no order.
    """
    count = len(values)
    if count < 2 * fewest:
        return None
    sums = [0.0, *accumulate(values)]
    squares = [0.0, *accumulate(value * value for value in values)]
    at = range(fewest, count - fewest + 1)
    able = list(at) if places is None else sorted(set(places).intersection(at))
    cuts = (_cut(sums, squares, place) for place in able[:: max(1, len(able) // _CUTS)])
    best = max(cuts, key=lambda change: abs(change.errors), default=None)
    return best if best is not None and abs(best.errors) > bound else None


def ranks(values: Sequence[float]) -> list[float]:
    """Give each value's rank, from 0 to 1; equal ones share theirs. One that hung is only last."""
    ordered = sorted(values)
    most = max(len(values) - 1, 1)
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2 / most
        for value in values
    ]


def _cut(sums: Sequence[float], squares: Sequence[float], place: int) -> Change:
    """Compare what lies before a place with what lies after it."""
    count = len(sums) - 1
    before = _moments(sums[place], squares[place], place)
    after = _moments(sums[-1] - sums[place], squares[-1] - squares[place], count - place)
    shift = after[0] - before[0]
    error = math.sqrt(before[1] / place + after[1] / (count - place))
    return Change(place, shift, shift / error)


def _moments(total: float, squares: float, count: int) -> tuple[float, float]:
    mean = total / count
    return mean, max(squares / count - mean * mean, _LEAST_VARIANCE)
