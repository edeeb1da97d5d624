"""What was learned of tools that need each other: from use, or from schemas; behind the hits.

Declared dependencies are `structure`'s, and stand before these. Knows rows and who may name whom;
not how use was watched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.indexing.roster import Roster
from toolcrib_registry.types import EntryId, NeedSource

from .structure import Placed

_LEADING = 3
"""Hits that bring something along: who takes the tenth does not need what it needs."""
_DEEP: Final = 2
"""What is needed by what is needed, and no further: each step may be a mistake."""


class Learned(NamedTuple):
    """An entry that another one needs."""

    entry: EntryId
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Companions:
    """What one tenant's searches know of use, and what nobody wants to come along. Immutable.

    Two are the same only when they are one object: it is part of the key of a remembered answer.
    """

    used: Mapping[EntryId, tuple[Learned, ...]] = field(
        default_factory=dict[EntryId, tuple[Learned, ...]]
    )
    refused: frozenset[tuple[EntryId, EntryId]] = frozenset()
    """Pairs of an entry and what it is not to bring."""


NO_COMPANIONS: Final = Companions()


class _Brought(NamedTuple):
    row: int
    how: NeedSource
    why: str
    by: int


def most_learned(k: int) -> int:
    """Return how many of ``k`` places learned companions take at most."""
    return k // 3


def bring_learned(
    placed: Sequence[Placed],
    roster: Roster,
    companions: Companions,
    *,
    k: int,
    within: NDArray[np.bool_] | None,
    kept: Collection[int] = (),
) -> list[Placed]:
    """Put what the best hits need, as far as it was learned, behind the others.

    It takes the last places, never those of rows in ``kept`` or of what was declared.
    """
    present = {each.row for each in placed} | {row for each in placed for row in each.alternatives}
    room = min(most_learned(k), k - 1)
    brought: dict[int, _Brought] = {}
    for one in _all(placed, roster, companions):
        if len(brought) >= room:
            break
        if one.row not in present and (within is None or within[one.row]):
            brought.setdefault(one.row, one)
    left = _without_last(placed[:k], len(placed[:k]) + len(brought) - k, kept)
    brought_here = list(brought.values())[: max(k - len(left), 0)]
    return [*left, *(Placed(one.row, (), (one.by,), one.how, one.why) for one in brought_here)]


def _without_last(placed: Sequence[Placed], count: int, kept: Collection[int]) -> list[Placed]:
    """Leave out the last ``count`` that are there for themselves alone."""
    spare = [each for each in reversed(placed[1:]) if not each.required_by and each.row not in kept]
    gone = {each.row for each in spare[: max(count, 0)]}
    return [each for each in placed if each.row not in gone]


def _all(placed: Sequence[Placed], roster: Roster, companions: Companions) -> Iterator[_Brought]:
    """Give what the leading hits need, those of the best first; then what that needs in turn."""
    level = [each.row for each in placed if not each.required_by][:_LEADING]
    seen = set(level)
    for _ in range(_DEEP):
        found = [
            one for row in level for one in needs_of(row, roster, companions) if one.row not in seen
        ]
        seen.update(one.row for one in found)
        yield from found
        level = [one.row for one in found]


def needs_of(row: int, roster: Roster, companions: Companions) -> Iterator[_Brought]:
    """Give what was learned that a row needs: from use first. What is declared says it all."""
    refused = companions.refused
    entry, label = roster.ids[row], roster.label(row)
    for learned in companions.used.get(entry, ()):
        other = roster.rows.get(learned.entry)
        if other is None or (entry, learned.entry) in refused:
            continue
        if roster.label(other).destructive is not True:
            yield _Brought(other, NeedSource.USE, learned.why, row)
    for other, why in () if label.depends_on else roster.needs(row):
        if (entry, roster.ids[other]) not in refused:
            yield _Brought(other, NeedSource.SCHEMA, why, row)
