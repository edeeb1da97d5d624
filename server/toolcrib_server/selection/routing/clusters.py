"""Domains that nobody labelled: past queries in groups, and what each model scores in each.

Several k-means partitions, coarse and fine, so that no border decides. A group's means are drawn
to the overall mean as far as the groups' own spread says (empirical Bayes, Efron & Morris 1975).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles, products

_SIZES: Final = (150, 100, 60)
"""Queries in a group, on average, from coarse to fine."""
_MOST_GROUPS: Final = 100
_STARTS: Final = 3
_ROUNDS: Final = 10
_MOST_SEEN: Final = 3_000
"""Queries from which centres are found; more move them little and cost much."""
_TINY: Final = 1e-9


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
    """Several partitions; a prediction is the mean of theirs."""

    partitions: tuple[Partition, ...]
    targets: int

    @classmethod
    def fit(cls, points: Singles, targets: Floats, *, seed: int) -> Clusters:
        """Group queries; fewer than 80 are left in one."""
        return cls(tuple(_partitions(points, targets, seed)), targets.shape[1])

    def predict(self, points: Singles) -> Floats:
        """Predict every target for every row."""
        total = np.zeros((len(points), self.targets))
        for partition in self.partitions:
            total += partition.predict(points)
        return total / max(len(self.partitions), 1)


def _partitions(points: Singles, targets: Floats, seed: int) -> Iterator[Partition]:
    counts = [min(round(len(points) / size), _MOST_GROUPS) for size in _SIZES]
    for start in range(_STARTS):
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
    sums, squares = members @ values, members @ values**2
    return Partition(centres, _shrunk(sums, squares, counts), members.sum(axis=1).astype(np.int64))


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
