"""Kernel ridge on landmarks, and how sure it is at each point: near to much that is known, or not.

A sparse Gaussian process (Quinonero-Candela & Rasmussen, JMLR 2005): the variance grows to the
prior's far from everything, where a plain regression would be as sure as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Floats, Integers, Singles, blocks, squared_distances

_LANDMARKS: Final = 400
_NARROWNESS: Final = 2.0
"""Of the kernel, in median squared distances."""
_PENALTY: Final = 4.0
_JITTER: Final = 1e-5
_SAMPLED: Final = 400


@dataclass(frozen=True, slots=True)
class _Block:
    columns: Integers
    weights: Floats
    inverse: Floats


@dataclass(frozen=True, slots=True)
class KernelRidge:
    """A smooth prediction with its variance."""

    landmarks: Singles
    narrowness: float
    whitening: Floats
    blocks: tuple[_Block, ...]
    targets: int

    @classmethod
    def fit(cls, points: Singles, targets: Floats, *, seed: int) -> KernelRidge:
        """Fit each column to the rows in which it is known."""
        order = np.random.default_rng(seed).permutation(len(points))
        landmarks = points[order[:_LANDMARKS]]
        typical = float(np.median(squared_distances(points[order[:_SAMPLED]], landmarks)))
        narrowness = _NARROWNESS / max(typical, _JITTER)
        kernel = np.exp(-narrowness * squared_distances(landmarks, landmarks)).astype(np.float64)
        factor = np.linalg.cholesky(kernel + _JITTER * len(kernel) * np.eye(len(kernel)))
        whitening = np.asarray(np.linalg.inv(factor).T, dtype=np.float64)
        made = cls(landmarks, narrowness, whitening, (), targets.shape[1])
        features = made.features(points)
        known = ~np.isnan(targets)
        solved = tuple(
            _solved(features[rows], targets[np.ix_(rows, columns)], columns)
            for rows, columns in blocks(known)
        )
        return cls(landmarks, narrowness, whitening, solved, targets.shape[1])

    def features(self, points: Singles) -> Floats:
        """Place points among the landmarks, so that products are kernels."""
        near = np.exp(-self.narrowness * squared_distances(points, self.landmarks))
        return near.astype(np.float64) @ self.whitening

    def predict(self, points: Singles) -> Floats:
        """Predict every target for every row."""
        features = self.features(points)
        predicted = np.zeros((len(points), self.targets))
        for block in self.blocks:
            predicted[:, block.columns] = features @ block.weights
        return predicted

    def doubt(self, points: Singles) -> Floats:
        """Tell the variance of the mean, by target, as a share of the variance of one outcome.

        Its inverse is how many outcomes of this very query would tell as much.
        """
        features = self.features(points)
        beyond = np.maximum(1 - (features**2).sum(axis=1), 0)
        shares = np.ones((len(points), self.targets)) / _PENALTY
        for block in self.blocks:
            inside = np.einsum("ij,jk,ik->i", features, block.inverse, features, optimize=True)
            shares[:, block.columns] = (beyond / _PENALTY + inside)[:, None]
        return shares


def _solved(features: Floats, targets: Floats, columns: Integers) -> _Block:
    gram = features.T @ features + _PENALTY * np.eye(features.shape[1])
    inverse = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    return _Block(columns, inverse @ (features.T @ targets), inverse)
