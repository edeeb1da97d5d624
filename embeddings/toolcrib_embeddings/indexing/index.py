"""Nearest vectors: what a vector index is, and one by FAISS. Knows no texts and no encoder.

An index is immutable: a change gives a new one, so that readers never wait and never see half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId

from .roster import EVERYTHING, Roster, Scope

Scored: TypeAlias = tuple[EntryId, float]

_COMPRESSED_FROM: Final = 4_096
"""Rows; below, the exact walk costs less than 0.3 ms."""
_SPARE: Final = 20


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

    def scores(self, vectors: FloatMatrix, ids: Sequence[EntryId]) -> FloatMatrix:
        """Return the inner product of each vector with each of ``ids``, all of which it holds.

        Shape ``(len(vectors), len(ids))``, in their orders.
        """
        ...

    def updated(
        self,
        upserts: Sequence[tuple[Document, FloatVector]],
        removals: Collection[EntryId] = (),
    ) -> Self:
        """Return the index after a change; an id both removed and upserted stays."""
        ...


class FaissIndex:
    """Inner product over float32 rows, one core.

    From `_COMPRESSED_FROM` rows on, twice as many candidates as asked for come from 8-bit codes,
    a quarter of the memory to walk through; what is returned is ordered by exact scores.
    """

    def __init__(
        self, roster: Roster, vectors: FloatMatrix, *, missing: NDArray[np.bool_] | None = None
    ) -> None:
        """Index one row of ``vectors`` for each row of the roster; most start from `empty`.

        ``missing`` says which rows are no vectors, for who knows that already.
        """
        self.roster = roster
        self._vectors: FloatMatrix = np.ascontiguousarray(vectors, dtype=np.float32)
        self._vectors.flags.writeable = False
        self._missing = _no_direction(self._vectors) if missing is None else missing
        self._unembedded = frozenset(roster.ids[row] for row in np.flatnonzero(self._missing))
        self._codes = _open_codes(self._vectors)

    @classmethod
    def empty(cls, dimension: int) -> FaissIndex:
        """Return an index that holds nothing yet."""
        return cls(Roster.empty(), np.empty((0, dimension), dtype=np.float32))

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return self._vectors.shape[1]

    def __len__(self) -> int:
        return len(self.roster)

    @property
    def unembedded(self) -> frozenset[EntryId]:
        """Entries whose row is no vector, because no encoder could be had: zeros, or not finite."""
        return self._unembedded

    @property
    def vectors(self) -> FloatMatrix:
        """Its rows, in the roster's order, read-only."""
        return self._vectors

    def search(self, vector: FloatVector, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope with their inner products, best first; ties by id.

        Raises:
            EncoderError: the vector does not fit the index.
        """
        query = _check(vector.reshape(1, -1), self.dimension, ["the query"])
        mask = self.roster.mask(scope)
        reachable = len(self) if mask is None else int(np.count_nonzero(mask))
        if min(k, reachable) <= 0:
            return []
        rows = self._candidates(query, min(2 * k + _SPARE, reachable), mask)
        scores = self._exact_scores(rows, query[0])
        order = np.argsort(-scores, kind="stable")[:k]
        best: list[int] = rows[order].tolist()
        return list(
            zip(map(self.roster.ids.__getitem__, best), scores[order].tolist(), strict=True)
        )

    def _candidates(
        self, query: FloatMatrix, count: int, mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        faiss = _open_library()
        faiss.omp_set_num_threads(1)  # per calling thread; a second one waits more than it works
        wanted = None
        if mask is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            wanted = faiss.SearchParameters(sel=selector)
        _, rows = self._codes.search(query, count, params=wanted)
        return np.sort(rows[0][rows[0] >= 0])

    def _exact_scores(self, rows: NDArray[np.integer[Any]], vector: FloatVector) -> FloatVector:
        # not `@`: its rounding depends on where a row stands, and equal rows must score equal
        return np.einsum("ij,j->i", self._vectors[rows], vector)

    def scores(self, vectors: FloatMatrix, ids: Sequence[EntryId]) -> FloatMatrix:
        """Return the inner product of each vector with each of ``ids``, all of which it holds.

        Shape ``(len(vectors), len(ids))``, in their orders.
        """
        rows = np.array([self.roster.rows[id_] for id_ in ids], dtype=np.int64)
        return np.stack([self._exact_scores(rows, vector) for vector in vectors])

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
            np.take(self._vectors, move.source, axis=0, out=vectors, mode="clip")  # without a copy
        arrived = move.source >= len(self)
        vectors[arrived] = arrivals[move.source[arrived] - len(self)]
        missing = np.concatenate((self._missing, _no_direction(arrivals)))[move.source]
        return FaissIndex(move.roster, vectors, missing=missing)


def _no_direction(vectors: FloatMatrix) -> NDArray[np.bool_]:
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    return ~((lengths > 0) & np.isfinite(lengths))


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


def _open_codes(vectors: FloatMatrix) -> Any:
    faiss = _open_library()
    dimension = vectors.shape[1]
    if len(vectors) < _COMPRESSED_FROM:
        codes = faiss.IndexFlatIP(dimension)
    else:
        kind, metric = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        codes = faiss.IndexScalarQuantizer(dimension, kind, metric)
        codes.train(vectors)
    codes.add(vectors)
    return codes
