"""Which models no other beats in quality, cost and latency at once."""

from __future__ import annotations

import numpy as np

from .arrays import Booleans, Floats


def on_front(quality: Floats, cost: Floats, latency: Floats) -> Booleans:
    """Mark the whole Pareto set of one query's candidates. Unknown cost or latency is the worst.

    Equal ones are all in it. A measure that is unknown of everybody decides nothing.
    """
    losses = np.stack(
        [
            -quality,
            np.where(np.isnan(cost), np.inf, cost),
            np.where(np.isnan(latency), np.inf, latency),
        ],
        axis=1,
    )
    no_worse = (losses[:, None, :] <= losses[None, :, :]).all(axis=2)
    better = (losses[:, None, :] < losses[None, :, :]).any(axis=2)
    beaten: Booleans = np.logical_or.reduce(no_worse & better, axis=0)
    return ~beaten
