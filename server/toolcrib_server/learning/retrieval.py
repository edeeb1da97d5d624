"""A search over given documents for replays: the product's own index, as it serves.

Only the second stage stays out: past queries are kept as one vector each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolcrib_registry.types import EntryId, Revision

if TYPE_CHECKING:
    from toolcrib_embeddings import Document, Encoder, FloatMatrix, FloatVector, Ranking
    from toolcrib_embeddings.encoding.encoder import Encoding, Progress
    from toolcrib_embeddings.learning.lessons import Lessons
    from toolcrib_embeddings.queries.steps import Span


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

        # Without lessons answers stay: a simulation asks the same many times.
        self._plain: dict[tuple[str, int], Ranking] = {}
        self._recalled: dict[tuple[str, int], Sequence[EntryId]] = {}
        self._index = SearchIndex(_KnowingEncoder(encoder, known))
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


class _KnowingEncoder:
    """Serves known vectors, and remembers those of steps: each way of learning asks for them."""

    def __init__(self, encoder: Encoder, known: Mapping[str, FloatVector]) -> None:
        self._encoder = encoder
        self._known = known
        self._steps: dict[tuple[str, tuple[Span, ...]], FloatMatrix] = {}

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

    @property
    def token_id(self) -> None:
        return  # no second stage

    @property
    def rarity(self) -> FloatVector:
        return self._encoder.rarity

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        from toolcrib_embeddings.encoding.encoder import Encoding  # noqa: PLC0415  # the same

        return Encoding(self.encode(texts, on_progress=on_progress))

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        from toolcrib_embeddings.encoding.encoder import Encoding  # noqa: PLC0415  # the same

        if not spans:
            return Encoding(self.encode([text]))
        key = text, tuple(spans)
        if key not in self._steps:
            self._steps[key] = self._encoder.encode_query(text, spans).vectors
        return Encoding(self._steps[key])

    def _one(self, text: str) -> FloatVector:
        vector = self._known.get(text)
        return self._encoder.encode([text])[0] if vector is None else vector
