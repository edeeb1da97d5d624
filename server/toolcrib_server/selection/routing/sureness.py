"""How far off expectations were on groups of like queries, against how far they were said to be.

A kernel's own variance has the right shape and an arbitrary size; held-out outcomes give the size.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .arrays import Floats, Singles
from .clusters import assign, find_centres

_IN_GROUP: Final = 50
_FEWEST: Final = 10
_LEAST: Final = 0.05
_MOST: Final = 1.5


def measure_scale(
    points: Singles, residuals: Floats, shares: Floats, noise: Floats, *, seed: int
) -> float:
    """Find what to multiply variances by: 1 with too few queries to tell.

    ``residuals`` are actual less expected scores, NaN where unknown; ``shares`` the variance of an
    expectation as a share of ``noise``, that of one outcome.
    """
    count = len(points) // _IN_GROUP
    if count < 2:  # noqa: PLR2004  # one group has no like
        return 1.0
    nearest = assign(points, find_centres(points, count, seed=seed))
    members = (nearest == np.arange(count)[:, None]).astype(np.float64)
    known = ~np.isnan(residuals)
    counts = members @ known
    filled = np.maximum(counts, 1)
    off = (members @ np.where(known, residuals, 0.0) / filled) ** 2 - noise / filled
    said = (members @ (shares * known) / filled) * noise
    judged = counts >= _FEWEST
    total = float(said[judged].sum())
    return float(np.clip(off[judged].sum() / total, _LEAST, _MOST)) if total > 0 else 1.0
