"""Arrays of floats, as everything here hands them on, and what is done with them everywhere."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatVector: TypeAlias = NDArray[np.float32]
FloatMatrix: TypeAlias = NDArray[np.float32]

_MOST: Final = 200_000
"""Multiplications in one piece; OpenBLAS hands on what has more than 262,144."""
_SMALLEST_SPREAD: Final = 1e-6


def multiply(left: FloatMatrix, right: FloatMatrix) -> FloatMatrix:
    """Return ``left @ right``, made piece by piece; shapes ``(n, k)`` and ``(k, m)``.

    A library of linear algebra hands larger products to threads, which then wait for the next one
    on the cores that the encoder wants: encoding beside them took twice the processor time.
    """
    rows = max(1, _MOST // max(1, right.size))
    made = np.empty((len(left), right.shape[1]), dtype=np.float32)
    for start in range(0, len(left), rows):
        np.matmul(left[start : start + rows], right, out=made[start : start + rows])
    return made


def standardise(scores: FloatMatrix, among: NDArray[np.bool_] | None = None) -> FloatMatrix:
    """Count in standard deviations from the mean; where all are alike, all are zero.

    ``among`` says by which of them mean and deviation are taken (all unless given); the others are
    counted as no worse than the least of these. Shape ``(n,)``, or a line each.
    """
    counted = scores if among is None else np.compress(among, scores, axis=-1)
    if not counted.shape[-1]:
        return np.zeros_like(scores)
    heeded = scores if among is None else np.maximum(scores, counted.min(axis=-1, keepdims=True))
    mean = _mean(counted)
    spread = np.sqrt(_mean(np.square(counted - mean)))
    differs = spread > _SMALLEST_SPREAD
    return np.where(differs, (heeded - mean) / np.where(differs, spread, 1), 0).astype(np.float32)


def _mean(scores: FloatMatrix) -> FloatMatrix:
    return np.add.reduce(scores, axis=-1, keepdims=True) / scores.shape[-1]
