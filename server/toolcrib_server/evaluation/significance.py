"""How far a mean, or the difference of two, may be an accident of the queries that were asked.

Intervals are percentile bootstraps over queries; p-values are paired randomisation tests (Smucker,
Allan, Carterette, CIKM 2007), corrected for many tests by Holm's step-down.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
_AT_ONCE: Final = 500
_TOLERANCE: Final = 1e-12
"""Sums of the same numbers in another order are the same."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    low: float
    high: float


def resample_means(values: Floats, *, seed: int, name: str) -> Floats:
    """Draw queries with replacement, ``RESAMPLES`` times; give the mean of each draw.

    ``values`` has a row for each query and any number of columns, which are drawn together.
    ``name`` makes the draws of one set differ from those of another.
    """
    count = len(values)

    def weights(random: np.random.Generator, draws: int) -> Floats:
        rows = np.repeat(np.arange(draws) * count, count)
        picked = rows + random.integers(0, count, draws * count)
        return np.bincount(picked, minlength=draws * count).reshape(draws, count) / count

    return _drawn(values, weights, seed=seed, name=name)


def flip_signs(differences: Floats, *, seed: int, name: str) -> Floats:
    """Swap the two of each pair at random; give the mean difference of each shuffle.

    That is how differences would fall if which of the two is which did not matter.
    """
    count = len(differences)

    def signs(random: np.random.Generator, draws: int) -> Floats:
        return (2.0 * random.integers(0, 2, (draws, count)) - 1.0) / count

    return _drawn(differences, signs, seed=seed, name=name)


def _drawn(
    values: Floats,
    weights: Callable[[np.random.Generator, int], Floats],
    *,
    seed: int,
    name: str,
) -> Floats:
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    means = np.empty((RESAMPLES, values.shape[1]))
    for start in range(0, RESAMPLES, _AT_ONCE):
        draws = min(_AT_ONCE, RESAMPLES - start)
        means[start : start + draws] = weights(random, draws) @ values
    return means


def estimate(mean: Floats, means: Floats) -> list[Estimate]:
    """Give each column's mean with the interval of its resampled means."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return [Estimate(float(m), float(a), float(b)) for m, a, b in zip(mean, low, high, strict=True)]


def p_values(observed: Floats, shuffled: Floats) -> list[float]:
    """How often chance alone gives a difference as large, either way; never zero."""
    as_large = np.abs(shuffled) >= np.abs(observed) - _TOLERANCE
    return [float(p) for p in (1 + as_large.sum(axis=0)) / (1 + len(shuffled))]


def correct(p: Sequence[float]) -> list[float]:
    """Correct p-values for their number: Holm's step-down, in the given order."""
    corrected = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = highest
    return corrected
