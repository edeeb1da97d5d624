"""A ranked list to an answer: near-duplicates under the best of them, dependencies beside it.

Knows rows of a roster and their vectors; nothing of how they were scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.indexing.roster import Roster
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.types import NeedSource

_SAME_MEANING: Final = 0.9
"""Cosine from which two tools of one name, of different servers, count as the same tool."""
_MAX_DEPENDENCIES: Final = 16
"""Of one hit, nearest first: declarations of others must not fill an answer."""


class Placed(NamedTuple):
    """A row in an answer, and why it stands there."""

    row: int
    alternatives: tuple[int, ...] = ()
    required_by: tuple[int, ...] = ()
    how: NeedSource | None = None
    why: str = ""


def fold(
    ranked: NDArray[np.intp],
    vectors: FloatMatrix,
    roster: Roster,
    *,
    most: int,
    kept: Collection[int] = (),
) -> list[Placed]:
    """Put rows that are the same tool at several servers in one place, that of the best of them.

    ``vectors`` has a unit row for each of the roster's. The same tool: the same kind and name, but
    for case and punctuation, and nearly the same meaning. The one that the registry has known
    longest stands for them, so that a copy does not push aside what it copies. There are at most
    ``most`` places, and those of the rows in ``kept``.
    """
    groups: list[list[int]] = []
    by_name: dict[int, list[list[int]]] = {}
    names, servers = roster.name_codes(ranked).tolist(), roster.server_codes(ranked).tolist()
    server_of = dict(zip(ranked.tolist(), servers, strict=True))
    for row, name in zip(server_of, names, strict=True):
        alike = by_name.get(name)
        if alike is None:
            if len(groups) >= most and row not in kept:
                continue
            alike = by_name[name] = []
        others = [group for group in alike if server_of[group[0]] != server_of[row]]
        found = _find_same(others, row, vectors) if others else None
        if found is None:
            alike.append([row])
            groups.append(alike[-1])
        else:
            found.append(row)
    return [_folded(group, roster) for group in groups]


def _find_same(groups: Sequence[list[int]], row: int, vectors: FloatMatrix) -> list[int] | None:
    if len(groups) == 1:
        return groups[0] if vectors[groups[0][0]] @ vectors[row] >= _SAME_MEANING else None
    same = vectors[[group[0] for group in groups]] @ vectors[row] >= _SAME_MEANING
    return groups[int(np.argmax(same))] if same.any() else None


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
