"""Outcomes and vectors for the tests of what learns from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from toolcrib_embeddings import FloatVector
from toolcrib_registry.types import EntryId, Outcome, OutcomeSource, Verdict

NOW = datetime(2026, 8, 1, tzinfo=UTC)
A, B, C = (EntryId(f"tool:{name}") for name in "abc")
DIMENSION = 16


def outcome(query: str, entry: EntryId = A, principal: str = "p", **fields: Any) -> Outcome:
    """Make an outcome; ``days`` is how old it is."""
    age = timedelta(days=fields.pop("days", 0))
    given: dict[str, Any] = {
        "id": f"{query}/{entry}/{principal}/{age}",
        "at": NOW - age,
        "tenant": "t",
        "verdict": Verdict.WORKED,
        "source": OutcomeSource.CALL,
    }
    return Outcome(query=query, entry=entry, principal=principal, **(given | fields))


def vectors_of(outcomes: Iterable[Outcome], spread: float = 0.3) -> dict[str, FloatVector]:
    """Give every query its own vector; queries that begin with one letter are alike."""
    found: dict[str, FloatVector] = {}
    for one in outcomes:
        draw = np.random.default_rng(int(one.query_hash[:8], 16))
        noise = spread * draw.normal(size=DIMENSION) / np.sqrt(DIMENSION)
        centre = np.zeros(DIMENSION)
        centre[ord(one.query[0]) % DIMENSION] = 1
        found[one.query_hash] = ((centre + noise) / np.linalg.norm(centre + noise)).astype(
            np.float32
        )
    return found


def centre_of(letter: str) -> FloatVector:
    """Give the vector at the middle of the queries that begin with a letter."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[ord(letter) % DIMENSION] = 1
    return vector
