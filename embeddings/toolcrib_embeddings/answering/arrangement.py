"""The order in which candidates are shown: folded, each step covered, what is needed beside.

Knows scores and rows; not what speaks for whom.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.ranking.companions import bring_learned
from toolcrib_embeddings.ranking.fusion import Fused
from toolcrib_embeddings.ranking.structure import (
    Placed,
    bring_dependencies,
    cover,
    fold,
    most_dependencies,
)

from .candidates import SPARE
from .question import Question


def arrange(
    question: Question,
    rows: NDArray[np.intp],
    fused: Fused,
    dense: FaissIndex,
    *,
    wanted: Collection[int],
    brings: bool,
) -> list[Placed]:
    """Place candidates, the best first, at most as many as are asked for; ties by id.

    ``wanted`` rows have a place whatever they score; ``brings`` says whether what the best depend
    on comes along.
    """
    roster, k = dense.roster, question.k
    order: NDArray[np.intp] = np.argsort(-fused.scores, kind="stable")
    ranked = rows[order]
    if question.options.fold:
        placed = fold(ranked, dense.vectors, roster, most=k + SPARE, kept=wanted)
    else:
        placed = [Placed(row) for row in ranked.tolist()]
    if wanted:
        needy = brings and any(roster.label(each.row).depends_on for each in placed[:k])
        room = k - most_dependencies(k) if needy else k
        placed = cover(placed, wanted, within=room)
    if brings:
        within, companions = roster.mask(question.scope), question.companions
        placed = bring_dependencies(placed, roster, k=k, within=within)
        placed = bring_learned(placed, roster, companions, k=k, within=within, kept=wanted)
    return placed[:k]
