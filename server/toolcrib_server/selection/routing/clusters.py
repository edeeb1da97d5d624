"""Domains that nobody labelled: past queries in groups, and what each model scores in each.

Several k-means partitions, so that no border decides, and finer ones of what those leave. A group's
means are drawn to the overall mean as far as the groups' own spread says, all targets together
where there are groups enough (empirical Bayes, Efron & Morris 1975).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles, products

_SIZES: Final = (150, 100, 60)
"""Queries in a group, on average, from coarse to fine, where there are plenty."""
_PLENTY: Final = 3_500
"""Past queries; with fewer, groups are smaller too: their number falls as the square root."""
_MOST_GROUPS: Final = 100
_STARTS: Final = 3
_FINE_SIZES: Final = (40, 25)
_MOST_FINE: Final = 300
_FINE_STARTS: Final = 2
_GROUPS_A_TARGET: Final = 2
"""Groups for each target from which the targets' covariance can be told."""
_ROUNDS: Final = 10
_MOST_SEEN: Final = 3_000
"""Queries from which centres are found; more move them little and cost much."""
_TINY: Final = 1e-9
_LEAST_BETWEEN: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Partition:
    """One way to group queries. ``means`` are of each group and target."""

    centres: Singles
    means: Floats
    counts: Integers

    def predict(self, points: Singles) -> Floats:
        """Give the means of the nearest group of each point."""
        return self.means[assign(points, self.centres)]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Several partitions; a prediction is the mean of theirs, and that of the finer ones added."""

    partitions: tuple[Partition, ...]
    finer: tuple[Partition, ...]
    """Of what the others leave."""
    targets: int

    @classmethod
    def fit(cls, points: Singles, targets: Floats, *, seed: int) -> Clusters:
        """Group queries; where there are few of them, in few groups."""
        count = max(len(points), math.sqrt(len(points) * _PLENTY))
        sizes = [min(round(count / size), _MOST_GROUPS) for size in _SIZES]
        coarse = tuple(_partitions(points, targets, sizes, seed, starts=_STARTS))
        rest = targets - _mean(coarse, points, targets.shape[1])
        sizes = [min(round(count / size), _MOST_FINE) for size in _FINE_SIZES] if coarse else []
        fine = tuple(_partitions(points, rest, sizes, seed + _STARTS, starts=_FINE_STARTS))
        return cls(coarse, fine, targets.shape[1])

    def predict(self, points: Singles) -> Floats:
        """Predict every target for every row."""
        coarse = _mean(self.partitions, points, self.targets)
        return coarse + _mean(self.finer, points, self.targets)


def _mean(partitions: Sequence[Partition], points: Singles, targets: int) -> Floats:
    total = np.zeros((len(points), targets))
    for partition in partitions:
        total += partition.predict(points)
    return total / max(len(partitions), 1)


def _partitions(
    points: Singles, targets: Floats, counts: Sequence[int], seed: int, *, starts: int
) -> Iterator[Partition]:
    for start in range(starts):
        for count in dict.fromkeys(counts):
            if count > 1:
                centres = find_centres(points, count, seed=seed + start)
                yield _measured(points, targets, centres)


def find_centres(points: Singles, count: int, *, seed: int) -> Singles:
    """Find the centres of ``count`` groups by Lloyd's rounds from a random start."""
    random = np.random.default_rng([seed, count])
    points = points[random.permutation(len(points))[:_MOST_SEEN]]
    centres = points[:count].copy()
    for _ in range(_ROUNDS):
        nearest = assign(points, centres)
        order = np.argsort(nearest, kind="stable")
        sizes = np.bincount(nearest, minlength=count)
        filled = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])[filled]
        centres[filled] = np.add.reduceat(points[order], starts, axis=0) / sizes[filled, None]
    return centres


def assign(points: Singles, centres: Singles) -> Integers:
    """Name the nearest centre of each point."""
    return (products(points, centres) - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)


def _measured(points: Singles, targets: Floats, centres: Singles) -> Partition:
    nearest = assign(points, centres)
    known = ~np.isnan(targets)
    members = np.zeros((len(centres), len(points)))
    members[nearest, np.arange(len(points))] = 1.0
    counts = members @ known
    values = np.where(known, targets, 0.0)
    sizes = members.sum(axis=1).astype(np.int64)
    if known.all() and np.count_nonzero(sizes) >= _GROUPS_A_TARGET * targets.shape[1]:
        return Partition(centres, _shrunk_together(targets, nearest, members), sizes)
    sums, squares = members @ values, members @ values**2
    return Partition(centres, _shrunk(sums, squares, counts), sizes)


def _shrunk_together(targets: Floats, nearest: Integers, members: Floats) -> Floats:
    """Draw each group's means to those of all, by the covariance within and between groups.

    What models have in common is told by all of them, and only what sets one apart by it alone.
    """
    counts = members.sum(axis=1)[:, None]
    overall = targets.mean(axis=0)
    off = members @ (targets - overall) / np.maximum(counts, 1)
    rest = targets - overall - off[nearest]
    groups = np.count_nonzero(counts)
    within = rest.T @ rest / max(len(targets) - groups, 1)
    spread = ((off * counts).T @ off - groups * within) / len(targets)
    values, axes = np.linalg.eigh((spread + spread.T) / 2)
    between = (axes * np.maximum(values, _LEAST_BETWEEN)) @ axes.T
    noise = within / np.maximum(counts, 1)[:, :, None]
    solved: Floats = np.asarray(np.linalg.solve(between + noise, off[:, :, None]), dtype=np.float64)
    drawn = solved[:, :, 0] @ between
    return overall + np.where(counts > 0, drawn, 0.0)


def _shrunk(sums: Floats, squares: Floats, counts: Floats) -> Floats:
    """Draw each group's mean to the mean of all, by within- against between-group variance."""
    total = np.maximum(counts.sum(axis=0), 1)
    overall = sums.sum(axis=0) / total
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    groups = np.maximum((counts > 0).sum(axis=0), 1)
    within = (squares - counts * means**2).sum(axis=0) / np.maximum(total - groups, 1)
    spread = (counts * (means - overall) ** 2).sum(axis=0) - (groups - 1) * within
    between = spread / np.maximum(total - (counts**2).sum(axis=0) / total, 1)
    strength = within / np.maximum(between, within / total + _TINY)
    return (sums + strength * overall) / (counts + strength + _TINY)
