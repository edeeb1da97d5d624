"""What outcomes say, and how far each of those who say it is believed, as arrays.

Knows no vectors and no query: `memory` and `adapter` read from here what an outcome is worth. A
principal has one voice on an entry for a query, however often it repeats itself; what it may say
in a day is limited; a newcomer counts for little, and so does one whose outcomes search itself
finds implausible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.vectors import FloatVector
from toolcrib_registry.types import EntryId, Outcome

IntVector = NDArray[np.int64]

NEWCOMER_QUERIES: Final = 3
"""After so many different queries a principal is believed half."""
DAILY_LIMIT: Final = 500
"""Outcomes of one principal that are heard in a day; later ones of that day are not."""
ROOM: Final = 150
"""Queries of each principal that a memory has room for, however many principals there are."""
_CROWD: Final = 3
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Testimony:
    """One row for each query, entry and principal that outcomes tie together."""

    queries: tuple[str, ...]
    """Hashes of the queries, in the order they were first heard."""
    entries: tuple[EntryId, ...]
    principals: tuple[str, ...]
    query: IntVector
    """For each row a place in ``queries``; rows are sorted by it. The next two are alike."""
    entry: IntVector
    principal: IntVector
    verdict: FloatVector
    """From -1, failed, to 1, worked: the mean of what this principal said of it."""
    plausibility: FloatVector
    """How plausible search itself finds the pair, 0 to 1."""
    day: NDArray[np.float64]
    """When it was last said, in days since 1970."""
    trust: FloatVector
    """How far each principal is believed, 0 to 1."""

    def __len__(self) -> int:
        return len(self.query)


def hear(outcomes: Sequence[Outcome], *, daily_limit: int = DAILY_LIMIT) -> Testimony:
    """Turn outcomes of one tenant into testimony; their order does not matter."""
    heard = _within_limit(sorted(outcomes, key=lambda one: (one.at, one.id)), daily_limit)
    queries, entries, principals = _Places(), _Places(), _Places()
    said: dict[tuple[int, int, int], list[Outcome]] = {}
    for one in heard:
        key = queries[one.query_hash], entries[one.entry], principals[one.principal]
        said.setdefault(key, []).append(one)
    rows = sorted(said)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    plausibility = _array([max(one.weight for one in said[row]) for row in rows])
    return Testimony(
        queries=tuple(queries),
        entries=tuple(EntryId(entry) for entry in entries),
        principals=tuple(principals),
        query=table[:, 0],
        entry=table[:, 1],
        principal=table[:, 2],
        verdict=_array([_mean_verdict(said[row]) for row in rows]),
        plausibility=np.clip(plausibility, 0, 1),
        day=np.array([days(said[row][-1].at) for row in rows], dtype=np.float64),
        trust=_trust(table, plausibility, len(principals)),
    )


def share_room(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Keep of each principal the latest queries, twice its even share, or `ROOM` if that is more.

    So nobody fills a memory that others share. Fewer than three principals share nothing.
    """
    asked: dict[str, dict[str, None]] = {}
    for one in sorted(outcomes, key=lambda one: (one.at, one.id), reverse=True):
        asked.setdefault(one.principal, {}).setdefault(one.query_hash)
    if len(asked) < _CROWD:
        return list(outcomes)
    even = sum(map(len, asked.values())) // len(asked)
    room = max(ROOM, 2 * even)
    kept = {who: set(islice(queries, room)) for who, queries in asked.items()}
    return [one for one in outcomes if one.query_hash in kept[one.principal]]


def days(at: datetime) -> float:
    """Give a time in days since 1970."""
    return at.timestamp() / _DAY_S


class _Places(dict[str, int]):
    """Numbers names in the order they are asked for."""

    def __missing__(self, name: str) -> int:
        return self.setdefault(name, len(self))


def _within_limit(outcomes: Sequence[Outcome], daily_limit: int) -> list[Outcome]:
    heard: list[Outcome] = []
    counts: Counter[tuple[str, int]] = Counter()
    for one in outcomes:
        key = one.principal, int(days(one.at))
        counts[key] += 1
        if counts[key] <= daily_limit:
            heard.append(one)
    return heard


def _mean_verdict(said: Sequence[Outcome]) -> float:
    return sum(1.0 if one.verdict.speaks_for else -1.0 for one in said) / len(said)


def _trust(table: IntVector, plausibility: FloatVector, principals: int) -> FloatVector:
    """Believe those who spoke of many queries and said plausible things."""
    asked = np.unique(table[:, [2, 0]], axis=0)[:, 0]
    queries = np.bincount(asked, minlength=principals)
    rows = np.bincount(table[:, 2], minlength=principals)
    sense = np.bincount(table[:, 2], weights=plausibility, minlength=principals)
    known = queries / (queries + NEWCOMER_QUERIES)
    return (known * sense / np.maximum(rows, 1)).astype(np.float32)


def _array(values: Sequence[float]) -> FloatVector:
    return np.array(values, dtype=np.float32)
