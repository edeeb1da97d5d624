"""Nearest vectors: what a vector index is, and one by FAISS. Knows no texts and no encoder.

An index is immutable: a change gives a new one, so that readers never wait and never see half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId

from .codes import Codes
from .roster import Roster
from .scope import EVERYTHING, Scope

Scored: TypeAlias = tuple[EntryId, float]
ScoredRows: TypeAlias = tuple[NDArray[np.intp], FloatVector]
"""Rows, best first, and what each scores."""

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

    Twice as many candidates as asked for come from `Codes`, which are not exact where rows are
    many; what is returned is ordered by exact scores.
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
        self._codes = Codes(self._vectors)

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
    def missing(self) -> NDArray[np.bool_]:
        """Which rows are `unembedded`."""
        return self._missing

    @property
    def vectors(self) -> FloatMatrix:
        """Its rows, in the roster's order, read-only."""
        return self._vectors

    def search(self, vector: FloatVector, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope with their inner products, best first; ties by id.

        Raises:
            EncoderError: the vector does not fit the index.
        """
        rows, scores = self.nearest(vector, k=k, scope=scope)
        return list(zip(self.roster.take_ids(rows), scores.tolist(), strict=True))

    def nearest(self, vector: FloatVector, *, k: int, scope: Scope = EVERYTHING) -> ScoredRows:
        """Return what `search` does, as rows.

        Raises:
            EncoderError: the vector does not fit the index.
        """
        query = _check(vector.reshape(1, -1), self.dimension, ["the query"])[0]
        mask = self.roster.mask(scope)
        reachable = len(self) if mask is None else int(np.count_nonzero(mask))
        count = max(0, min(2 * k + _SPARE, reachable)) if k > 0 else 0
        rows = self._codes.nearest(query, count, mask) if count else np.empty(0, dtype=np.intp)
        scores = _exact_scores(self._vectors[rows], query)
        order = np.argsort(-scores, kind="stable")[: max(k, 0)]
        return rows[order], scores[order]

    def scores(self, vectors: FloatMatrix, ids: Sequence[EntryId]) -> FloatMatrix:
        """Return the inner product of each vector with each of ``ids``, all of which it holds.

        Shape ``(len(vectors), len(ids))``, in their orders.
        """
        rows = np.array([self.roster.rows[id_] for id_ in ids], dtype=np.intp)
        return self.score_rows(vectors, rows)

    def score_rows(self, vectors: FloatMatrix, rows: NDArray[np.intp]) -> FloatMatrix:
        """Return the inner product of each vector with each row: `scores`, by rows."""
        chosen = self._vectors[rows]
        return np.stack([_exact_scores(chosen, vector) for vector in vectors])

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
        names = [upserts[number][0].id for number in move.newcomers]
        for row, number in enumerate(move.newcomers):
            vector = upserts[number][1]
            _check_width(vector.size, self.dimension, names[row])
            arrivals[row] = vector
        _check_finite(arrivals, names)
        vectors = np.empty((len(move.roster), self.dimension), dtype=np.float32)
        if len(self):
            np.take(self._vectors, move.source, axis=0, out=vectors, mode="clip")  # without a copy
        arrived = move.source >= len(self)
        vectors[arrived] = arrivals[move.source[arrived] - len(self)]
        missing = np.concatenate((self._missing, _no_direction(arrivals)))[move.source]
        return FaissIndex(move.roster, vectors, missing=missing)


def _exact_scores(rows: FloatMatrix, vector: FloatVector) -> FloatVector:
    # not `@`: its rounding depends on where a row stands, and equal rows must score equal
    return np.einsum("ij,j->i", rows, vector)


def _no_direction(vectors: FloatMatrix) -> NDArray[np.bool_]:
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    return ~((lengths > 0) & np.isfinite(lengths))


def _check(vectors: FloatMatrix, dimension: int, names: Sequence[str]) -> FloatMatrix:
    _check_width(vectors.shape[1], dimension, names[0])
    _check_finite(vectors, names)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _check_width(width: int, dimension: int, name: str) -> None:
    if width != dimension:
        raise EncoderError(
            f"The vector of {name} has {width} numbers, the index {dimension}: it "
            "comes from another encoder. Encode everything again with one encoder."
        )


def _check_finite(vectors: FloatMatrix, names: Sequence[str]) -> None:
    sound = np.isfinite(vectors).all(axis=1)
    if not sound.all():
        culprit = names[int(np.argmin(sound))]
        raise EncoderError(
            f"The vector of {culprit} holds a number that is not finite: its encoder failed. "
            "Encode it again."
        )
