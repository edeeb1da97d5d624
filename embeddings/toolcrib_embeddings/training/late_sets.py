"""Sets as the second stage's head learns from them: read, ranked once, with what was got wrong.

Knows neither losses nor files.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.vectors import FloatVector

from .data import QuerySet
from .interaction import Asked, Texts, ask, gather, weigh_pieces
from .negatives import Ranking
from .recipe import LateRecipe
from .states import StateReader


@dataclass(frozen=True, slots=True)
class Ranked:
    """A query with the first stage's candidates, best first."""

    place: int
    steps: NDArray[np.bool_]
    rows: NDArray[np.intp]
    scores: FloatVector
    relevant: frozenset[int]


class LateSet:
    """A set whose texts have been read, and its queries ranked by the first stage."""

    def __init__(
        self,
        of: QuerySet,
        reader: StateReader,
        rarity: FloatVector,
        recipe: LateRecipe,
        *,
        most: int,
    ) -> None:
        """Read a set: all its documents, and at most so many of its queries."""
        self.name, self._recipe, self._device = of.name, recipe, reader.device
        chance = random.Random(recipe.seed)  # noqa: S311  # reproducible, not secret
        asked = chance.sample(of.queries, min(most, len(of.queries)))
        texts = [document.text for document in of.documents]
        self._queries = reader.read([query.text for query in asked])
        self._texts = reader.read(texts, kept=recipe.tokens)
        counts = self._texts.count_documents(len(rarity))
        self._weights = weigh_pieces(rarity, counts, len(texts))
        ranking = Ranking(of.documents, self._texts.vectors)
        self.queries = tuple(
            Ranked(
                place,
                reader.steps(query.text),
                *ranking.score(query.text, self._queries.vectors[place]),
                query.relevant,
            )
            for place, query in enumerate(asked)
        )

    def ask(self, query: Ranked) -> Asked:
        """Return a query's tokens."""
        return ask(self._queries, query.place, query.steps, self._weights, self._device)

    def gather(self, rows: Sequence[int]) -> Texts:
        """Return the tokens of some of its documents."""
        return gather(self._texts, rows, self._weights, self._device)

    def answers(self, query: Ranked) -> list[int]:
        """Return where the answers stand among the candidates, those that it likes best."""
        found = [n for n, row in enumerate(query.rows.tolist()) if row in query.relevant]
        return found[: self._recipe.answers_kept]

    def mistakes(self, query: Ranked) -> list[int]:
        """Return where candidates stand that are no answers and do not mean the same as one."""
        rows = query.rows[: self._recipe.candidates]
        vectors = self._texts.vectors
        likeness = (vectors[rows] @ vectors[sorted(query.relevant)].T).max(axis=1)
        return [
            n
            for n, row in enumerate(rows.tolist())
            if row not in query.relevant and likeness[n] < self._recipe.alike
        ]
