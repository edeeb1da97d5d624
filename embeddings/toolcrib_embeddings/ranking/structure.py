"""A ranked list to an answer: near-duplicates under the best of them, dependencies beside it.

Knows rows of a roster and their vectors; nothing of how they were scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.indexing.roster import Roster
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.types import NeedSource

_SAME_MEANING: Final = 0.9
"""Cosine from which two tools of one name, of different servers, count as the same tool."""
_MAX_DEPENDENCIES: Final = 16
"""Of one hit, nearest first: declarations of others must not fill an answer."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A row in an answer, and why it stands there."""

    row: int
    alternatives: tuple[int, ...] = ()
    required_by: tuple[int, ...] = ()
    how: NeedSource | None = None
    why: str = ""


def fold(
    ranked: Sequence[int],
    vectors: FloatMatrix,
    roster: Roster,
    *,
    most: int,
    kept: Collection[int] = (),
) -> list[Placed]:
    """Put rows that are the same tool at several servers in one place, that of the best of them.

    ``vectors`` has a unit row for each of ``ranked``. The same tool: the same kind and name, but
    for case and punctuation, and nearly the same meaning. The one that the registry has known
    longest stands for them, so that a copy does not push aside what it copies. There are at most
    ``most`` places, and those of the rows in ``kept``.
    """
    groups: list[list[int]] = []
    by_name: dict[tuple[str, str], list[int]] = {}
    servers = roster.server_codes(np.array(ranked, dtype=np.intp))
    for place, row in enumerate(ranked):
        kind = roster.ids[row].partition(":")[0]
        alike = by_name.setdefault((kind, roster.plain_name(row)), [])
        if not alike and len(groups) >= most and row not in kept:
            continue
        leaders = [groups[number][0] for number in alike]
        found = _find_same(leaders, place, vectors, servers) if leaders else None
        if found is None:
            alike.append(len(groups))
            groups.append([place])
        else:
            groups[alike[found]].append(place)
    return [_folded([ranked[place] for place in group], roster) for group in groups]


def _find_same(
    leaders: Sequence[int], place: int, vectors: FloatMatrix, servers: NDArray[np.int32]
) -> int | None:
    others = np.array(leaders, dtype=np.intp)
    alike = vectors[others] @ vectors[place] >= _SAME_MEANING
    same = alike & (servers[others] != servers[place])
    return int(np.argmax(same)) if same.any() else None


def _folded(rows: Sequence[int], roster: Roster) -> Placed:
    if len(rows) == 1:
        return Placed(rows[0])
    oldest = min(rows, key=lambda row: roster.label(row).added_at_s)
    return Placed(oldest, tuple(row for row in rows if row != oldest))


def cover(placed: Sequence[Placed], wanted: Collection[int], *, within: int) -> list[Placed]:
    """Bring the wanted rows among the first ``within`` places, in the stead of the last others.

    Otherwise the order stays.
    """
    first, rest = list(placed[:within]), list(placed[within:])
    missing = [each for each in rest if each.row in wanted]
    spare = [each for each in reversed(first) if each.row not in wanted][: len(missing)]
    missing = missing[: len(spare)]
    kept = [each for each in first if each not in spare]
    left = [each for each in rest if each not in missing]
    return [*kept, *missing, *reversed(spare), *left]


def most_dependencies(k: int) -> int:
    """Return how many of ``k`` places dependencies take at most: two thirds."""
    return 2 * k // 3


def bring_dependencies(
    placed: Sequence[Placed], roster: Roster, *, k: int, within: NDArray[np.bool_] | None
) -> list[Placed]:
    """Put what the first rows depend on right behind each, at most ``k`` rows in all.

    What is declared is followed to its end, nearest first, up to `most_dependencies`. ``within``
    says which rows may come along; None is all.
    """
    wanted_by: dict[int, list[int]] = {}
    own = {each.row: each for each in placed}
    order: dict[int, None] = {}
    for each in placed:
        if len(order) >= k:
            break
        order.setdefault(each.row)
        needed = (row for row in _needs(each.row, roster) if within is None or within[row])
        room = min(k - len(order), most_dependencies(k) - len(wanted_by))
        for row in islice((row for row in needed if row not in order), max(room, 0)):
            order[row] = None
            wanted_by.setdefault(row, []).append(each.row)
    return [_placed(row, own, wanted_by) for row in islice(order, k)]


def _placed(row: int, own: Mapping[int, Placed], wanted_by: Mapping[int, list[int]]) -> Placed:
    alternatives = own[row].alternatives if row in own else ()
    how = NeedSource.DECLARED if row in wanted_by else None
    return Placed(row, alternatives, tuple(wanted_by.get(row, ())), how)


def _needs(row: int, roster: Roster) -> Iterator[int]:
    """Yield all that a row depends on, breadth first; cycles end."""
    seen = {row}
    waiting = deque([row])
    while waiting and len(seen) <= _MAX_DEPENDENCIES:
        near = waiting.popleft()
        for name in roster.label(near).depends_on:
            found = roster.find_named(name, near=near)
            if found is not None and found not in seen:
                seen.add(found)
                waiting.append(found)
                yield found
