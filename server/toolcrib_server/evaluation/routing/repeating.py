"""Many random splits of one set, and the standard error of what they say together.

Splits share queries, so that the spread over the square root of their number is far too small.
Nadeau & Bengio (Machine Learning 52, 2003) add to it the share judged for each one learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from toolcrib_server.selection.routing.arrays import Integers

from .policies import split_folds

MOST_REPEATS: Final = 1_000


def repeat_splits(
    count: int,
    *,
    repeats: int,
    folds: int,
    hold_out: float | None,
    learn: int | None,
    seed: int,
) -> list[tuple[Integers, Integers]]:
    """Split rows anew ``repeats`` times, each time as `split_folds` does; the first is its own."""
    return [
        part
        for number in range(repeats)
        for part in split_folds(
            count, folds=folds, hold_out=hold_out, learn=learn, seed=seed + number
        )
    ]


def corrected_error(values: Sequence[float], *, judged: int, learned: int) -> float:
    """Give the standard error of the mean of what splits gave; 0 for fewer than two."""
    if len(values) < 2:  # noqa: PLR2004  # one has no spread
        return 0.0
    share = 1 / len(values) + judged / max(learned, 1)
    return float(np.sqrt(share * np.var(values, ddof=1)))
