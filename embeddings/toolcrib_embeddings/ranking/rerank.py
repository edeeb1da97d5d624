"""The second stage: the best candidates read token by token.

Late interaction (ColBERT, arXiv 2004.12832) over token vectors that were made when the entries were
indexed: each token of an entry's text looks for its nearest among those of the query, and each
token of the query, or of the step of it that the entry answers best, for its nearest in the text.
Rare word pieces weigh more, as in BM25. Nothing is encoded for it. Sums are of whole numbers, so
that equal texts have equal scores. Knows scores and token vectors, no entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.encoding.encoder import Encoding
from toolcrib_embeddings.encoding.tokens import SCALE, TokenMatrix, pieces, vectors
from toolcrib_embeddings.hits import TOKENS
from toolcrib_embeddings.indexing.token_table import TokenTable
from toolcrib_embeddings.options import Rerank
from toolcrib_embeddings.vectors import FloatVector, multiply, standardise
from toolcrib_registry.types import EntryId

from .fusion import Fused, add_signal

MOST_RERANKED: Final = 50
"""Candidates, the best of the first stage."""
WEIGHT: Final = 0.3
"""Of how much of a text is spoken of, standardised, in the first stage's standard deviations."""
COVERED_WEIGHT: Final = 0.21
"""Of how much of the query, or of its best step, a text covers, likewise."""
_ENOUGH: Final = 0.5
"""Of the best candidates must have token vectors, or ``Rerank.AUTO`` leaves the order as it is."""
_LEAST: Final = 2
"""One alone has nothing to be compared with."""


@dataclass(frozen=True, slots=True)
class AskedTokens:
    """The tokens of a query."""

    rows: TokenMatrix
    inside: NDArray[np.bool_]
    """Which of them are in which step, a line each; one line of all when it is one step."""
    rarity: FloatVector
    """Of word pieces, as the encoder has it."""

    @classmethod
    def of(cls, read: Encoding, rarity: FloatVector) -> Self | None:
        """Take those of the first text that was read; None without any."""
        if not read.tokens or not len(read.tokens[0]):
            return None
        rows, inside = read.tokens[0], read.inside
        if inside is None or not inside.any():
            inside = np.ones((1, len(rows)), dtype=np.bool_)
        return cls(rows, inside, rarity)


def rerank(
    fused: Fused,
    ids: Sequence[EntryId],
    *,
    how: Rerank,
    asked: AskedTokens | None,
    tokens: TokenTable,
) -> Fused | None:
    """Add what token vectors say of the best candidates; None when they say nothing.

    Candidates without token vectors are taken for the average of the others.
    """
    if how is Rerank.OFF or asked is None or not len(tokens):
        return None
    best: NDArray[np.intp] = np.argsort(-fused.scores, kind="stable")[:MOST_RERANKED]
    places: list[int] = best.tolist()
    found = [tokens.find(ids[place]) for place in places]
    texts = [rows for rows in found if rows is not None and len(rows)]
    least = _ENOUGH * len(found) if how is Rerank.AUTO else 0
    if len(texts) < max(least, _LEAST):
        return None
    known = np.array([rows is not None and len(rows) > 0 for rows in found])
    given = np.zeros(len(found), dtype=np.float32)
    spoken_of, covered = interact(asked, texts, tokens.weights(asked.rarity))
    given[known] = WEIGHT * standardise(spoken_of) + COVERED_WEIGHT * standardise(covered)
    return add_signal(fused, TOKENS, given, best)


def interact(
    asked: AskedTokens, texts: Sequence[TokenMatrix], weights: NDArray[np.int64]
) -> tuple[FloatVector, FloatVector]:
    """Return how much of each text the query speaks of, and of the query's best step each text.

    Both up to 1. ``weights`` are those of word pieces; no text is empty.
    """
    rows = np.concatenate(texts)
    lengths = np.array([len(text) for text in texts])
    starts = np.cumsum(lengths) - lengths
    # Whole numbers far below what single precision holds exactly, whatever the order of the sums.
    mine, theirs = vectors(asked.rows), vectors(rows)
    likeness = multiply(theirs.astype(np.float32), mine.T.astype(np.float32))
    # A line for each token of the query: maxima of long lines take a third of those of short ones.
    likeness = np.ascontiguousarray(likeness.T)
    weight = weights[pieces(rows)]
    nearest = likeness.max(axis=0).astype(np.int64)
    spoken_of = _share(np.add.reduceat(weight * nearest, starts), np.add.reduceat(weight, starts))
    covering = np.maximum.reduceat(likeness, starts, axis=1).astype(np.int64)
    of_step = asked.inside * weights[pieces(asked.rows)]
    covered = _share((of_step @ covering).T, of_step.sum(axis=1)).max(axis=1)
    return spoken_of.astype(np.float32), covered.astype(np.float32)


def _share(sums: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    return sums / (np.maximum(weights, 1) * SCALE**2)
