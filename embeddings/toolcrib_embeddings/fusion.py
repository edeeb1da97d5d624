"""Two scores for each candidate to one. Knows no entries: arrays in, an array out."""

from __future__ import annotations

import numpy as np

from .encoder import FloatVector


def fuse(dense: FloatVector, lexical: FloatVector) -> FloatVector:
    """Sum the standardised scores of the candidates: larger is better, 0 is the average.

    Both arrays hold one score for each candidate, in one order, as does the answer. Keeps order:
    a candidate that is at least as good in both is at least as good in the sum.
    """
    return _standardised(dense) + _standardised(lexical)


def _standardised(scores: FloatVector) -> FloatVector:
    if not len(scores):
        return scores
    spread = float(scores.std())
    centred = scores - scores.mean()
    return centred / spread if spread > 1e-6 else np.zeros_like(scores)  # noqa: PLR2004
