"""Would it have helped? Replays outcomes in the order of time on queries held back from learning.

Knows no store and no clock: outcomes, vectors and a retriever are given. Everything is seeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from toolcrib_registry.types import EntryId, Outcome

if TYPE_CHECKING:
    from toolcrib_embeddings import FloatVector, Ranking
    from toolcrib_embeddings.learning.lessons import Lessons

DEPTH: Final = 10
"""NDCG@10 decides."""
_LEARNED_FROM: Final = 0.7
"""Of the queries, the older ones; the newer are held back."""
MOST_CASES: Final = 500
"""Of what is held back, the newest: more would cost minutes and narrow the interval little."""
_RESAMPLES: Final = 1_000
_SEED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of using what was learned. Strength is that of `Lessons`; 0 leaves memory out."""

    name: str
    adapter: bool
    strength: float


ARMS: Final = (
    Arm(name="adapter", adapter=True, strength=0.0),
    Arm(name="memory-2", adapter=False, strength=2.0),
    Arm(name="memory-4", adapter=False, strength=4.0),
    Arm(name="both-2", adapter=True, strength=2.0),
    Arm(name="both-4", adapter=True, strength=4.0),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A held-back query, and the entries that worked for it."""

    query: str
    query_hash: str
    relevant: frozenset[EntryId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What an arm gained over no learning: mean NDCG@10, and a 95 % interval of the difference.

    The interval is paired, by the bootstrap over queries.
    """

    arm: str
    after: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a replay showed. ``before`` is the mean NDCG@10 without learning; no cases, no gains."""

    learned_from: int
    """Outcomes."""
    cases: int
    before: float = 0.0
    gains: tuple[Gain, ...] = ()


class Retriever(Protocol):
    """Searches the corpus that outcomes are about, as it is served."""

    def search(self, query: str, *, k: int, lessons: Lessons | None = None) -> Ranking:
        """Rank entries for a query, by what was learned."""
        ...

    def recall(self, query: str, *, k: int) -> Sequence[EntryId]:
        """Rank entries for a query, without what was learned, nothing folded or brought along."""
        ...

    def strength(self, query: str, *, lessons: Lessons | None = None) -> float | None:
        """Weigh what the search for a query says of itself; None where it says nothing."""
        ...

    def __contains__(self, entry: object, /) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Unit vectors of queries, by `Outcome.query_hash`, and of entries."""

    encoder_id: str
    queries: Mapping[str, FloatVector]
    entries: Mapping[EntryId, FloatVector]


def replay(
    outcomes: Sequence[Outcome],
    retriever: Retriever,
    vectors: Vectors,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Learn from the older outcomes of one tenant, and judge on the newer queries.

    Costs six searches for each query held back: each way is judged as it would be served.
    """
    older, held_back = split_by_time([o for o in outcomes if o.query_hash in vectors.queries])
    cases = held_back[-MOST_CASES:]
    if not older or not cases:
        return Report(learned_from=len(older), cases=0)
    now = max(one.at for one in outcomes)
    before, after = judge(
        cases, older, retriever, vectors, arms=ARMS, now=now, on_progress=on_progress
    )
    gains = tuple(gain_of(arm.name, before, after[arm.name]) for arm in ARMS)
    return Report(learned_from=len(older), cases=len(cases), before=_mean(before), gains=gains)


def split_by_time(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Case]]:
    """Part outcomes in those to learn from and the newer queries to judge by.

    A query that was asked before is not held back: it would be remembered, not learned.
    """
    outcomes = sorted(outcomes, key=lambda one: (one.at, one.id))
    order = list(dict.fromkeys(one.query_hash for one in outcomes))
    cut = set(order[: math.ceil(_LEARNED_FROM * len(order))])
    older = [one for one in outcomes if one.query_hash in cut]
    return older, _cases([one for one in outcomes if one.query_hash not in cut])


def _cases(outcomes: Sequence[Outcome]) -> list[Case]:
    texts: dict[str, str] = {}
    relevant: dict[str, set[EntryId]] = {}
    for one in outcomes:
        if one.verdict.speaks_for:
            texts[one.query_hash] = one.query
            relevant.setdefault(one.query_hash, set()).add(one.entry)
    return [Case(texts[key], key, frozenset(entries)) for key, entries in relevant.items()]


def judge(
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    retriever: Retriever,
    vectors: Vectors,
    *,
    arms: Sequence[Arm],
    now: datetime,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[float], dict[str, list[float]]]:
    """Score every case without learning, and with each arm, having learned from ``outcomes``."""
    taught = _teach(outcomes, vectors, arms, now=now)
    before: list[float] = []
    after: dict[str, list[float]] = {name: [] for name in taught}
    for done, case in enumerate(cases, start=1):
        before.append(_score(retriever.search(case.query, k=DEPTH), case))
        for name, lessons in taught.items():
            found = retriever.search(case.query, k=DEPTH, lessons=lessons)
            after[name].append(_score(found, case))
        if on_progress:
            on_progress(done, len(cases))
    return before, after


def _teach(
    outcomes: Sequence[Outcome], vectors: Vectors, arms: Sequence[Arm], *, now: datetime
) -> dict[str, Lessons]:
    """Learn once, and give what each arm uses of it."""
    from toolcrib_embeddings.learning.adapter import train_adapter  # noqa: PLC0415  # slow to import
    from toolcrib_embeddings.learning.lessons import Lessons  # noqa: PLC0415
    from toolcrib_embeddings.learning.memory import QueryMemory  # noqa: PLC0415

    memory = QueryMemory.of(outcomes, vectors.queries)
    adapter = train_adapter(
        outcomes, vectors.queries, vectors.entries, encoder_id=vectors.encoder_id
    )
    tenant = outcomes[0].tenant if outcomes else ""
    return {
        arm.name: Lessons(
            tenant, arm.name, adapter if arm.adapter else None, memory, arm.strength, at=now
        )
        for arm in arms
    }


def _score(ranking: Ranking, case: Case) -> float:
    """Score an answer; what stands under a near-duplicate stands where that does."""
    ids = [
        next((id_ for id_ in (hit.id, *hit.alternatives) if id_ in case.relevant), hit.id)
        for hit in ranking.hits
    ]
    return ndcg(ids, case.relevant)


def ndcg(ids: Sequence[EntryId], relevant: frozenset[EntryId], *, depth: int = DEPTH) -> float:
    """Score a ranking against what worked: 1 when all of it stands first."""
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(len(relevant), depth)))
    found = sum(1 / math.log2(rank + 2) for rank, id_ in enumerate(ids[:depth]) if id_ in relevant)
    return found / ideal if ideal else 0.0


def gain_of(arm: str, before: Sequence[float], after: Sequence[float]) -> Gain:
    """Compare two scores of the same queries."""
    import numpy as np  # noqa: PLC0415  # with the rest of what only a replay needs

    differences = np.array(after) - np.array(before)
    draws = np.random.default_rng(_SEED).integers(len(before), size=(_RESAMPLES, len(before)))
    means = differences[draws].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    gain = float(differences.mean())
    return Gain(arm=arm, after=_mean(after), gain=gain, low=low, high=high)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores) if scores else 0.0
