"""What was learned from use, as a search applies it: a turned query, evidence, a moved threshold.

Joins memory, adapter and confirmed questions of one tenant. Knows no store and no gate: it is
handed what is in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from toolcrib_embeddings.abstention.confirmation import Confirmation
from toolcrib_embeddings.vectors import FloatVector
from toolcrib_registry.types import EntryId

from .adapter import QueryAdapter
from .memory import QueryMemory


@dataclass(frozen=True, slots=True)
class Lessons:
    """What one tenant's searches use. Without a part, that part does nothing."""

    tenant: str
    version: str
    """Differs whenever an answer may differ: part of the key of a cached answer."""
    adapter: QueryAdapter | None = None
    memory: QueryMemory | None = None
    strength: float = 0.0
    """How many standard deviations of score full evidence is worth."""
    confirmed: Confirmation | None = None
    """What questions that had an answer say of where to abstain."""
    at: datetime | None = None
    """When to weigh the age of outcomes; None is now."""

    def turn(self, vector: FloatVector) -> FloatVector:
        """Turn the query's vector, before anything is recalled by it."""
        return vector if self.adapter is None else self.adapter.apply(vector)

    def evidence(self, vector: FloatVector, *, now: datetime) -> Mapping[EntryId, float]:
        """Weigh past outcomes: standard deviations by entry. ``vector`` is not turned yet."""
        if self.memory is None or self.strength <= 0:
            return {}
        said = self.memory.evidence(vector, now=self.at or now, tenant=self.tenant)
        return {entry: self.strength * score for entry, score in said.items()}
