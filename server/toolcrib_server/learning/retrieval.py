"""A search over given documents for replays: the product's own index, with a turnable query.

Searches as served, less the stages that would need a model or hide near-duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolcrib_registry.types import Revision

if TYPE_CHECKING:
    from toolcrib_embeddings import Document, Encoder, FloatMatrix, FloatVector, Ranking
    from toolcrib_embeddings.adapter import QueryAdapter
    from toolcrib_embeddings.encoder import Progress
    from toolcrib_embeddings.queries import Span


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
        from toolcrib_embeddings.options import Rerank, SearchOptions  # noqa: PLC0415

        self._encoder = _TurningEncoder(encoder, known)
        self._plain: dict[tuple[str, int], Ranking] = {}
        """Without an adapter answers stay: a simulation asks the same many times."""
        self._index = SearchIndex(self._encoder)
        self._index.update(documents, (), revision=Revision(1))
        self._options = SearchOptions(
            rerank=Rerank.OFF, split=False, fold=False, dependencies=False
        )

    def __contains__(self, entry: object) -> bool:
        return entry in self._index

    def search(self, query: str, *, k: int, adapter: QueryAdapter | None) -> Ranking:
        """Rank entries for a query, turned by the adapter."""
        if adapter is None and (query, k) in self._plain:
            return self._plain[query, k]
        ranking = self._search(query, k, adapter)
        if adapter is None:
            self._plain[query, k] = ranking
        return ranking

    def _search(self, query: str, k: int, adapter: QueryAdapter | None) -> Ranking:
        if self._encoder.adapter is not adapter:
            self._encoder.adapter = adapter
            # An index remembers its answers; a change, even of nothing, makes it forget them.
            self._index.update((), (), revision=self._index.revision)
        return self._index.search(query, k=k, options=self._options)


class _TurningEncoder:
    """Serves known vectors, turned by the adapter that is set."""

    def __init__(self, encoder: Encoder, known: Mapping[str, FloatVector]) -> None:
        self.adapter: QueryAdapter | None = None
        self._encoder = encoder
        self._known = known

    @property
    def id(self) -> str:
        return self._encoder.id

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        import numpy as np  # noqa: PLC0415  # with the rest of what only a replay needs

        vectors = [self._one(text) for text in texts]
        if on_progress:
            on_progress(len(texts))
        return np.array(vectors, dtype=np.float32).reshape(-1, self.dimension)

    def encode_spans(self, text: str, spans: Sequence[Span]) -> FloatMatrix:
        import numpy as np  # noqa: PLC0415  # the same

        if not spans:
            return self.encode([text])
        rows = self._encoder.encode_spans(text, spans)
        return np.array([self._turned(row) for row in rows], dtype=np.float32)

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        return self._encoder.encode_tokens(texts)

    def _one(self, text: str) -> FloatVector:
        vector = self._known.get(text)
        return self._turned(self._encoder.encode([text])[0] if vector is None else vector)

    def _turned(self, vector: FloatVector) -> FloatVector:
        return vector if self.adapter is None else self.adapter.apply(vector)
