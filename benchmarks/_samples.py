"""A figure taken again and again while something runs: what became of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Say how much memory grew in the second half: its last fifth against its first, as a share."""
    half = [size for at, size in samples if at >= samples[-1][0] / 2]
    fifth = max(1, len(half) // 5)
    before, after = statistics.median(half[:fifth]), statistics.median(half[-fifth:])
    return after / before - 1
