"""Two scores for each candidate to one. Knows no entries: arrays in, an array out.

The weights were chosen once, on the average over eight sets; see docs/adr/0004-fusion.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from .encoder import FloatVector
from .options import Fusion

DENSE_WEIGHT: Final = 0.6
LEXICAL_WEIGHT: Final = 1 - DENSE_WEIGHT
RRF_K: Final = 60
_SMALLEST_SPREAD: Final = 1e-6
"""Below it all candidates are alike, and what differs is rounding."""


def combine(
    fusion: Fusion, dense: FloatVector, lexical: FloatVector, ranks: Sequence[Sequence[int]]
) -> FloatVector:
    """Score the candidates the way that ``fusion`` names."""
    if fusion is Fusion.RRF:
        return reciprocal_ranks(ranks)
    if fusion is Fusion.DENSE:
        return dense
    if fusion is Fusion.LEXICAL:
        return lexical
    return fuse(dense, lexical)


def fuse(dense: FloatVector, lexical: FloatVector) -> FloatVector:
    """Weigh the standardised scores of the candidates: larger is better, 0 is their average.

    Both arrays hold one score for each candidate, in one order, as does the answer, which counts
    in standard deviations. Keeps order: a candidate that is at least as good in both is at least
    as good in the sum.
    """
    fused = DENSE_WEIGHT * _standardised(dense) + LEXICAL_WEIGHT * _standardised(lexical)
    return fused.astype(np.float32)


def reciprocal_ranks(lists: Sequence[Sequence[int]]) -> FloatVector:
    """Reciprocal-rank fusion (Cormack et al., SIGIR 2009) of one list of ranks a retriever.

    Ranks count from 1; 0 says that the retriever did not find the candidate.
    """
    ranks = np.array(lists, dtype=np.float32)
    found = np.where(ranks > 0, 1 / (RRF_K + ranks), 0)
    return found.sum(axis=0, dtype=np.float32)


def _standardised(scores: FloatVector) -> FloatVector:
    if not len(scores):
        return scores
    spread = float(scores.std())
    centred = scores - scores.mean()
    return centred / spread if spread > _SMALLEST_SPREAD else np.zeros_like(scores)
