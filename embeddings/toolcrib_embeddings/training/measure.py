"""How well queries find their documents, by their vectors alone and fused with words.

Small on purpose: it says during training whether weights are better on sets that were held out.
`toolcrib eval` is what quality is judged with.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from toolcrib_embeddings.vectors import FloatMatrix

from .data import QuerySet
from .negatives import Ranking

DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries of a set, 0 to 1."""

    dense_ndcg: float
    """NDCG@10 by vectors alone."""
    fused_ndcg: float
    """NDCG@10 of vectors and BM25, both standardised, 0.6 to 0.4."""


def measure(of: QuerySet, *, vectors: FloatMatrix, query_vectors: FloatMatrix) -> Quality:
    """Rank all documents of a set for each of its queries; both have a row of vectors each."""
    ranking = Ranking(of.documents, vectors)
    dense: list[float] = []
    fused: list[float] = []
    for query, vector in zip(of.queries, query_vectors, strict=True):
        nearest: list[int] = np.argsort(-(vectors @ vector), kind="stable")[:DEPTH].tolist()
        dense.append(ndcg(nearest, query.relevant))
        fused.append(ndcg(ranking.rank(query.text, vector), query.relevant))
    return Quality(float(np.mean(dense)), float(np.mean(fused)))


def ndcg(ranked: Sequence[int], relevant: Collection[int]) -> float:
    """NDCG@10 of one ranking, for judgements of yes and no."""
    gained = sum(1 / math.log2(p + 2) for p, row in enumerate(ranked[:DEPTH]) if row in relevant)
    return gained / sum(1 / math.log2(p + 2) for p in range(min(DEPTH, len(relevant))))
