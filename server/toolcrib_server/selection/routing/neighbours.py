"""The nearest past queries, and what each model scored on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles, blocks, products

_MOST: Final = 100
"""Twenty are too few on every set that was looked at: outcomes are noisy."""
_SHARE: Final = 5
_FEWEST: Final = 5
_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class _Block:
    """Past queries for which the same targets are known."""

    columns: Integers
    points: Singles
    half_lengths: Singles
    targets: Floats


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Past queries, kept whole."""

    blocks: tuple[_Block, ...]
    targets: int

    @classmethod
    def fit(cls, points: Singles, targets: Floats) -> Neighbours:
        """Keep queries, by which targets are known for them."""
        kept = tuple(
            _Block(
                columns,
                here := points[rows],
                0.5 * (here**2).sum(axis=1),
                targets[np.ix_(rows, columns)],
            )
            for rows, columns in blocks(~np.isnan(targets))
            if rows.any()
        )
        return cls(kept, targets.shape[1])

    def predict(self, points: Singles) -> Floats:
        """Average each target over the nearest queries for which it is known."""
        predicted = np.zeros((len(points), self.targets))
        for block in self.blocks:
            for start in range(0, len(points), _AT_ONCE):
                nearest = _nearest(points[start : start + _AT_ONCE], block)
                means = block.targets[nearest].mean(axis=1)
                predicted[start : start + _AT_ONCE, block.columns] = means
        return predicted


def _nearest(points: Singles, block: _Block) -> Integers:
    """Find the places of the nearest: 100, or a fifth of the past where there are fewer."""
    past = len(block.points)
    count = min(past, max(_FEWEST, min(_MOST, past // _SHARE)))
    nearness = products(points, block.points) - block.half_lengths
    return np.argpartition(nearness, past - count, axis=1)[:, past - count :]
