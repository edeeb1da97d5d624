"""Nearest vectors: what a vector index is, and an exact one. Knows no texts and no encoder.

An index is immutable: a change gives a new one, so that readers never wait and never see half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol, Self, TypeAlias, cast

import numpy as np

from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId

from .corpus import Document
from .encoder import FloatMatrix, FloatVector
from .roster import EVERYTHING, Roster, Scope

Scored: TypeAlias = tuple[EntryId, float]


class VectorIndex(Protocol):
    """Finds the vectors with the largest inner product. Safe to read from several threads."""

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        ...

    def __len__(self) -> int: ...

    def search(self, vector: FloatVector, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope with their inner products, best first."""
        ...

    def scores(self, vector: FloatVector, ids: Sequence[EntryId]) -> FloatVector:
        """Return the inner product with each of ``ids``, all of which it holds, in their order."""
        ...

    def updated(
        self,
        upserts: Sequence[tuple[Document, FloatVector]],
        removals: Collection[EntryId] = (),
    ) -> Self:
        """Return the index after a change; an id both removed and upserted stays."""
        ...


class FaissIndex:
    """Exact inner product over float32 rows, one core."""

    def __init__(self, roster: Roster, vectors: FloatMatrix) -> None:
        """Index one row of ``vectors`` for each row of the roster; most start from `empty`."""
        self.roster = roster
        self._faiss = _open_flat(vectors)

    @classmethod
    def empty(cls, dimension: int) -> FaissIndex:
        """Return an index that holds nothing yet."""
        return cls(Roster.empty(), np.empty((0, dimension), dtype=np.float32))

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._faiss.d

    def __len__(self) -> int:
        return len(self.roster)

    @property
    def vectors(self) -> FloatMatrix:
        """Its rows, in the roster's order: a read-only view, valid as long as the index is."""
        faiss = _open_library()
        if not len(self):
            return np.empty((0, self.dimension), dtype=np.float32)
        flat = faiss.rev_swig_ptr(self._faiss.get_xb(), len(self) * self.dimension)
        view = cast("FloatMatrix", flat.reshape(len(self), self.dimension))
        view.flags.writeable = False
        return view

    def search(self, vector: FloatVector, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope with their inner products, best first.

        Raises:
            EncoderError: the vector does not fit the index.
        """
        query = _check(vector.reshape(1, -1), self.dimension, ["the query"])
        mask = self.roster.mask(scope)
        reachable = len(self) if mask is None else int(np.count_nonzero(mask))
        wanted = min(k, reachable)
        if wanted <= 0:
            return []
        scores, rows = self._search(query, wanted, mask)
        return [
            (self.roster.ids[row], float(score)) for row, score in zip(rows, scores, strict=True)
        ]

    def _search(self, query: FloatMatrix, k: int, mask: Any) -> tuple[Any, Any]:
        faiss = _open_library()
        faiss.omp_set_num_threads(1)  # per calling thread; a second one waits more than it works
        if mask is None:
            scores, rows = self._faiss.search(query, k)
        else:
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            scores, rows = self._faiss.search(query, k, params=faiss.SearchParameters(sel=selector))
        return scores[0], rows[0]

    def scores(self, vector: FloatVector, ids: Sequence[EntryId]) -> FloatVector:
        """Return the inner product with each of ``ids``, all of which it holds, in their order."""
        rows = np.array([self.roster.rows[id_] for id_ in ids], dtype=np.int64)
        if not len(rows):
            return np.empty(0, dtype=np.float32)
        return self.vectors[rows] @ vector

    def updated(
        self,
        upserts: Sequence[tuple[Document, FloatVector]],
        removals: Collection[EntryId] = (),
    ) -> FaissIndex:
        """Return the index after a change; an id both removed and upserted stays.

        Raises:
            EncoderError: a vector does not fit; this index is as it was.
        """
        move = self.roster.after([document for document, _ in upserts], removals)
        arrivals = np.empty((len(move.newcomers), self.dimension), dtype=np.float32)
        for row, number in enumerate(move.newcomers):
            document, vector = upserts[number]
            arrivals[row] = _check(vector.reshape(1, -1), self.dimension, [document.id])[0]
        vectors = np.empty((len(move.roster), self.dimension), dtype=np.float32)
        if len(self):
            np.take(self.vectors, move.source, axis=0, out=vectors, mode="clip")  # without a copy
        arrived = move.source >= len(self)
        vectors[arrived] = arrivals[move.source[arrived] - len(self)]
        return FaissIndex(move.roster, vectors)


def _check(vectors: FloatMatrix, dimension: int, names: Sequence[str]) -> FloatMatrix:
    if vectors.shape[1] != dimension:
        raise EncoderError(
            f"The vector of {names[0]} has {vectors.shape[1]} numbers, the index {dimension}: it "
            "comes from another encoder. Encode everything again with one encoder."
        )
    sound = np.isfinite(vectors).all(axis=1)
    if not sound.all():
        culprit = names[int(np.argmin(sound))]
        raise EncoderError(
            f"The vector of {culprit} holds a number that is not finite: its encoder failed. "
            "Encode it again."
        )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _open_library() -> Any:
    import faiss  # noqa: PLC0415  # slow to import, and has no types

    return faiss


def _open_flat(vectors: FloatMatrix) -> Any:
    flat = _open_library().IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return flat
