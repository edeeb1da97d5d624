"""What was learned from use, as a search applies it: a turned query, and scores moved by evidence.

Joins memory and adapter for one tenant. Knows no store and no gate: it is handed what is in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from toolcrib_registry.types import EntryId

from .adapter import QueryAdapter
from .encoder import FloatVector
from .hits import LEARNED, Hit, Ranking, Signal
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

    def turn(self, vector: FloatVector) -> FloatVector:
        """Turn the query's vector, before anything is recalled by it."""
        return vector if self.adapter is None else self.adapter.apply(vector)

    def evidence(self, vector: FloatVector, *, now: datetime) -> Mapping[EntryId, float]:
        """Weigh past outcomes: standard deviations by entry. ``vector`` is not turned yet."""
        if self.memory is None or self.strength <= 0:
            return {}
        said = self.memory.evidence(vector, now=now, tenant=self.tenant)
        return {entry: self.strength * score for entry, score in said.items()}


def blend(
    ranking: Ranking, evidence: Mapping[EntryId, float], *, known: Sequence[EntryId], k: int
) -> Ranking:
    """Move the hits by the evidence, in standard deviations of score, and keep the best ``k``.

    ``known`` are the entries that may be added though they were not recalled: those in scope. They
    start from the least score of what was. Ties keep their order; without evidence nothing moves.
    """
    if not evidence:
        return ranking if len(ranking.hits) <= k else replace(ranking, hits=ranking.hits[:k])
    present = {hit.id for hit in ranking.hits}
    least = min((hit.score for hit in ranking.hits), default=0.0)
    spoken_for = sorted(entry for entry in known if evidence.get(entry, 0.0) > 0)
    added = [Hit(entry, least, {}) for entry in spoken_for if entry not in present]
    moved = [_moved(hit, evidence.get(hit.id, 0.0)) for hit in (*ranking.hits, *added)]
    moved.sort(key=lambda hit: -hit.score)
    return replace(ranking, hits=tuple(moved[:k]))


def _moved(hit: Hit, by: float) -> Hit:
    if not by:
        return hit
    signals = {**hit.signals, LEARNED: Signal(0, by)}
    return replace(hit, score=hit.score + by, signals=signals)
