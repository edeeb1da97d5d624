"""A light adapter on the query side: turns a query's vector towards the tools that then worked.

One linear map, near the identity, fitted in closed form (ridge regression from queries to the
entries that worked for them); documents and their index are untouched. Knows no store and no
search. Trained offline, and used only where replay shows that it helps.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import numpy as np

from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.types import EntryId, Outcome

from .testimony import IntVector, Testimony, hear

_RIDGE: Final = 1.0
"""How strongly the map is held to the identity; 1 to 3 were alike over the development sets."""
_FEWEST: Final = 20
"""Queries; fewer say nothing of directions in a space of hundreds."""
_SHORTEST: Final = 1e-6


class AdapterInvalid(ValueError):
    """The bytes are no adapter, or not one for this encoder."""


class QueryAdapter:
    """A linear map of query vectors, for one encoder. Immutable."""

    def __init__(self, encoder_id: str, matrix: FloatMatrix) -> None:
        """Take a square matrix; a vector is multiplied from the left."""
        self.encoder_id = encoder_id
        self._matrix: FloatMatrix = np.ascontiguousarray(matrix, dtype=np.float32)
        self._matrix.flags.writeable = False
        self._turning: FloatMatrix = np.ascontiguousarray(self._matrix.T)

    @property
    def dimension(self) -> int:
        """Length of the vectors it takes."""
        return self._matrix.shape[0]

    def apply(self, vector: FloatVector) -> FloatVector:
        """Turn a unit vector; the answer has length 1 too. Costs 20 us at 384 dimensions."""
        # not `@`: for so little work its threads wait for each other more than they work
        turned = np.einsum("ij,j->i", self._turning, vector)
        length = float(np.linalg.norm(turned))
        if not length > _SHORTEST:
            return vector
        return (turned / length).astype(np.float32)

    def dump(self) -> bytes:
        """Render it as bytes, with a checksum."""
        raw = self._matrix.astype("<f4").tobytes()
        with io.BytesIO() as file:
            np.savez(
                file,
                encoder=np.array(self.encoder_id),
                matrix=self._matrix.astype("<f4"),
                checksum=np.array(hashlib.sha256(raw).hexdigest()),
            )
            return file.getvalue()

    @classmethod
    def load(cls, data: bytes, *, encoder_id: str, dimension: int) -> QueryAdapter:
        """Read what `dump` gave.

        Raises:
            AdapterInvalid: It is damaged, or does not fit the encoder.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as parts:
                trained_with, checksum = str(parts["encoder"]), str(parts["checksum"])
                matrix: FloatMatrix = parts["matrix"]
        except Exception as error:  # each flipped bit of a zip fails in its own way
            raise AdapterInvalid("The adapter cannot be read.") from error
        if hashlib.sha256(matrix.tobytes()).hexdigest() != checksum:
            raise AdapterInvalid("The adapter is damaged: its checksum does not fit.")
        if trained_with != encoder_id:
            raise AdapterInvalid(f"The adapter is for {trained_with}, the encoder is {encoder_id}.")
        _check_matrix(matrix, dimension)
        return cls(trained_with, matrix)


def _check_matrix(matrix: FloatMatrix, dimension: int) -> None:
    if matrix.dtype != np.dtype("<f4") or matrix.shape != (dimension, dimension):
        found = f"{matrix.dtype} of {matrix.shape}"
        raise AdapterInvalid(f"The adapter has {found}, not float32 of {(dimension, dimension)}.")
    if not np.isfinite(matrix).all():
        raise AdapterInvalid("The adapter is damaged: not all of it are numbers.")


def train_adapter(
    outcomes: Sequence[Outcome],
    queries: Mapping[str, FloatVector],
    entries: Mapping[EntryId, FloatVector],
    *,
    encoder_id: str,
) -> QueryAdapter | None:
    """Fit the map of one tenant's outcomes; None when they are too few to learn from.

    ``queries`` has vectors by `Outcome.query_hash`, ``entries`` by id; an outcome without both is
    left out, and so is one that speaks against its entry. An entry and a principal count by the
    square root of how often they occur, an outcome by its plausibility and its principal's trust.
    """
    said = hear([o for o in outcomes if o.query_hash in queries and o.entry in entries])
    weights = _weights(said)
    spoken = np.unique(said.query[weights > 0])
    if len(spoken) < _FEWEST:
        return None
    asked = np.stack([queries[said.queries[place]] for place in spoken])
    wanted, worth = _targets(said, weights, np.stack([entries[e] for e in said.entries]))
    return QueryAdapter(encoder_id, _fit(asked, wanted[spoken], worth[spoken]))


def _weights(said: Testimony) -> FloatVector:
    """Weigh each row. Its verdict counts only where it is for the entry."""
    voices = _counts(said.principal)
    weights = said.plausibility * np.clip(said.verdict, 0, 1) * said.trust[said.principal]
    return (weights / np.sqrt(_counts(said.entry) * voices)).astype(np.float32)


def _counts(places: IntVector) -> IntVector:
    return np.bincount(places)[places] if len(places) else places


def _targets(
    said: Testimony, weights: FloatVector, entries: FloatMatrix
) -> tuple[FloatMatrix, FloatVector]:
    """Give for each query the direction of what worked for it, and what that is worth."""
    count = len(said.queries)
    wanted = np.zeros((count, entries.shape[1]), dtype=np.float32)
    np.add.at(wanted, said.query, entries[said.entry] * weights[:, None])
    lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
    worth = np.bincount(said.query, weights=weights, minlength=count)
    worth /= np.maximum(np.bincount(said.query, minlength=count), 1)
    return wanted / np.maximum(lengths, _SHORTEST), worth.astype(np.float32)


def _fit(asked: FloatMatrix, wanted: FloatMatrix, worth: FloatVector) -> FloatMatrix:
    """Solve for the map nearest to both the identity and what was wanted."""
    weighed = asked * (worth / worth.mean())[:, None]
    held = _RIDGE * np.eye(asked.shape[1], dtype=np.float32)
    solve = cast("Callable[[FloatMatrix, FloatMatrix], FloatMatrix]", np.linalg.solve)  # untyped
    return solve(weighed.T @ asked + held, weighed.T @ wanted + held)
