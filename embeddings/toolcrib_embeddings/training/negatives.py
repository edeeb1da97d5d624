"""What a query must learn to prefer its answer to: documents that the base model ranks high.

Knows vectors as arrays. A document that means the same as an answer is no negative: sets judge a
few documents a query, and what they leave out is not wrong.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector, standardise

from .data import Pair, Query, QuerySet
from .recipe import Recipe

_RECALLED: Final = 60
_DENSE: Final = 0.6
"""Weight of the vectors; the rest is BM25's."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query with rows of texts: what answers it, all that is judged to, what nearly does."""

    query: int
    answers: tuple[int, ...]
    relevant: frozenset[int]
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Examples that share their texts; a batch is made of one set."""

    name: str
    queries: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: FloatMatrix
    """Of the texts, by the base model."""
    examples: tuple[Example, ...]


def choose_queries(of: QuerySet, recipe: Recipe) -> tuple[Query, ...]:
    """Choose those that are trained on: all, or as many as one set may bring."""
    chance = random.Random(recipe.seed)  # noqa: S311  # reproducible, not secret
    return tuple(chance.sample(of.queries, min(recipe.queries_per_set, len(of.queries))))


def mine(
    of: QuerySet,
    queries: Sequence[Query],
    *,
    vectors: FloatMatrix,
    query_vectors: FloatMatrix,
    recipe: Recipe,
) -> TrainingSet:
    """Find the negatives of each query near the top of its ranking."""
    ranking = Ranking(of.documents, vectors)
    examples: list[Example] = []
    for place, (query, vector) in enumerate(zip(queries, query_vectors, strict=True)):
        answers = sorted(query.relevant)
        likeness = (vectors @ vectors[answers].T).max(axis=1)
        near = [
            row
            for row in ranking.rank(query.text, vector)
            if row not in query.relevant and likeness[row] < recipe.alike
        ]
        nearest = sorted(answers, key=lambda row: float(-(vectors[row] @ vector)))
        pulled = tuple(nearest[: recipe.answers_kept])
        kept = tuple(near[: recipe.negatives_kept])
        examples.append(Example(place, pulled, query.relevant, kept))
    texts = tuple(document.text for document in of.documents)
    spoken = tuple(query.text for query in queries)
    return TrainingSet(of.name, spoken, texts, vectors, tuple(examples))


def pair_up(pairs: Sequence[Pair], vectors: FloatMatrix) -> TrainingSet:
    """Make a set of a catalogue's pairs: the other documents of a batch are the negatives."""
    return TrainingSet(
        "catalogue",
        tuple(pair.query for pair in pairs),
        tuple(pair.text for pair in pairs),
        vectors,
        tuple(Example(row, (row,), frozenset({row}), ()) for row in range(len(pairs))),
    )


class Ranking:
    """Ranks documents by their vectors and by their words, as the product's first stage does."""

    def __init__(self, documents: Sequence[Document], vectors: FloatMatrix) -> None:
        self._lexical = Bm25Index.empty().updated(documents)
        self._ids = [document.id for document in documents]
        self._vectors = vectors

    def rank(self, query: str, vector: FloatVector) -> list[int]:
        """Return the best rows, best first."""
        return self.score(query, vector)[0].tolist()

    def score(self, query: str, vector: FloatVector) -> tuple[NDArray[np.intp], FloatVector]:
        """Return the best rows, best first, and their scores."""
        meant = self._vectors @ vector
        words = self._lexical.scores([query], self._ids)[0]
        rows = np.union1d(_best(meant, _RECALLED), _best(words, _RECALLED))
        fused = _DENSE * standardise(meant[rows]) + (1 - _DENSE) * standardise(words[rows])
        order = np.argsort(-fused, kind="stable")
        return rows[order], fused[order].astype(np.float32)


def _best(scores: FloatVector, count: int) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")[:count]
