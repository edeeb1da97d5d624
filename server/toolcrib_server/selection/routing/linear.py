"""Ridge regression in closed form, for any number of targets, some of their values missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles, blocks

_PENALTY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear prediction around the mean of what it was fitted to."""

    centre: Floats
    weights: Floats
    offsets: Floats

    @classmethod
    def fit(cls, points: Singles, targets: Floats, *, penalty: float = _PENALTY) -> Ridge:
        """Fit each column to the rows in which it is known; a column without any is zero."""
        points_ = points.astype(np.float64)
        centre = points_.mean(axis=0)
        points_ -= centre
        width = points_.shape[1]
        weights = np.zeros((width, targets.shape[1]))
        offsets = np.zeros(targets.shape[1])
        for rows, columns in blocks(~np.isnan(targets)):
            if not rows.any():
                continue
            wanted = targets[np.ix_(rows, columns)]
            middle, level = points_[rows].mean(axis=0), wanted.mean(axis=0)
            here = points_[rows] - middle
            gram = here.T @ here + penalty * np.eye(width)
            weights[:, columns] = np.linalg.solve(gram, here.T @ (wanted - level))
            offsets[columns] = level - middle @ weights[:, columns]
        return cls(centre, weights, offsets)

    def predict(self, points: Singles) -> Floats:
        """Predict every target for every row."""
        return (points - self.centre) @ self.weights + self.offsets


def held_out_ridge(points: Singles, targets: Floats, *, parts: Integers) -> Floats:
    """Predict each row by a ridge that was fitted to the other parts."""
    predicted = np.zeros_like(targets)
    for part in np.unique(parts):
        inside = parts == part
        if inside.all():
            continue
        predicted[inside] = Ridge.fit(points[~inside], targets[~inside]).predict(points[inside])
    return predicted
