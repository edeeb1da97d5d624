"""How much each part of a prediction is trusted: weights that did best on what it had not seen.

Never below zero (Breiman, Stacked regressions, 1996): where nothing predicts, all are zero, and
what is left is the mean of each model.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .arrays import Floats

_ROUNDS: Final = 200
_PRIOR: Final = 20.0
"""Outcomes' worth of doubt: weights of parts that explain next to nothing stay near zero."""


def fit_weights(parts: Floats, wanted: Floats) -> Floats:
    """Fit non-negative weights of ``parts``, shape ``(parts, rows, columns)``, to ``wanted``.

    Unknown values are left out. Least squares by coordinate descent, which at a handful of parts
    is exact long before its last round.
    """
    known = ~np.isnan(wanted)
    flat = parts[:, known]
    if not flat.size:
        return np.zeros(len(parts))
    target = wanted[known]
    ridge = _PRIOR * float(np.mean(flat**2))
    gram = flat @ flat.T + ridge * np.eye(len(parts))
    goal = flat @ target
    weights = np.zeros(len(parts))
    for _ in range(_ROUNDS):
        for place in range(len(parts)):
            rest = goal[place] - gram[place] @ weights + gram[place, place] * weights[place]
            weights[place] = max(rest, 0.0) / max(gram[place, place], 1e-12)
    return weights
