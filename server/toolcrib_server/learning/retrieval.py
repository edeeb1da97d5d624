"""A search over given documents for replays: the product's own index, as it serves.

Only the second stage stays out: past queries are kept as one vector each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolcrib_registry.types import EntryId, Revision

if TYPE_CHECKING:
    from toolcrib_embeddings import Document, Encoder, FloatVector, Ranking
    from toolcrib_embeddings.learning.lessons import Lessons


class IndexRetriever:
    """Searches one corpus. Belongs to one thread."""

    def __init__(
        self,
        documents: Sequence[tuple[Document, FloatVector]],
        encoder: Encoder,
        known: Mapping[str, FloatVector],
    ) -> None:
        """Index the documents. ``known`` has vectors of queries by text, to encode none twice."""
        from toolcrib_embeddings import SearchIndex  # noqa: PLC0415  # slow to import

        from .knowing import KnowingEncoder  # noqa: PLC0415  # the same

        # Without lessons answers stay: a simulation asks the same many times.
        self._plain: dict[tuple[str, int], Ranking] = {}
        self._recalled: dict[tuple[str, int], Sequence[EntryId]] = {}
        self._index = SearchIndex(KnowingEncoder(encoder, known))
        self._index.update(documents, (), revision=Revision(1))

    def __contains__(self, entry: object) -> bool:
        return entry in self._index

    def search(self, query: str, *, k: int, lessons: Lessons | None = None) -> Ranking:
        """Rank entries for a query, by what was learned."""
        if lessons is not None:
            return self._index.search(query, k=k, lessons=lessons)
        if (query, k) not in self._plain:
            self._plain[query, k] = self._index.search(query, k=k)
        return self._plain[query, k]

    def recall(self, query: str, *, k: int) -> Sequence[EntryId]:
        """Rank entries for a query, without what was learned, nothing folded or brought along."""
        from toolcrib_embeddings.options import SearchOptions  # noqa: PLC0415  # slow to import

        if (query, k) not in self._recalled:
            options = SearchOptions(fold=False, dependencies=False)
            self._recalled[query, k] = self._index.search(query, k=k, options=options).ids
        return self._recalled[query, k]

    def strength(self, query: str, *, lessons: Lessons | None = None) -> float | None:
        """Weigh what the search for a query says of itself; None where it says nothing."""
        return self._index.strength(query, lessons=lessons)
