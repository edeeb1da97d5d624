"""A ranked list to an answer: near-duplicates under the best of them, dependencies beside it.

Knows rows of a roster and their vectors; nothing of how they were scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .encoder import FloatMatrix
from .roster import Roster

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


def fold(ranked: Sequence[int], vectors: FloatMatrix, roster: Roster) -> list[Placed]:
    """Put each row under the first row before it that is the same tool at another server.

    ``vectors`` has a unit row for each of ``ranked``. The same tool: the same name, but for case
    and punctuation, and nearly the same meaning.
    """
    names = [roster.plain_name(row) for row in ranked]
    servers = roster.server_codes(np.array(ranked, dtype=np.intp))
    leaders: dict[str, list[int]] = {}
    alternatives: dict[int, list[int]] = {}
    for place, name in enumerate(names):
        same = leaders.setdefault(name, [])
        leader = next((p for p in same if _is_same(vectors, servers.tolist(), p, place)), None)
        if leader is None:
            same.append(place)
            alternatives[place] = []
        else:
            alternatives[leader].append(ranked[place])
    return [Placed(ranked[place], tuple(rows)) for place, rows in alternatives.items()]


def bring_dependencies(
    placed: Sequence[Placed], roster: Roster, *, k: int, within: NDArray[np.bool_] | None
) -> list[Placed]:
    """Put what a row depends on right behind it, at most ``k`` in all.

    ``within`` says which rows may come along; None is all.

    What is declared is followed to its end, nearest first. However much the best row depends on,
    the second best keeps a place.
    """
    wanted_by: dict[int, list[int]] = {}
    own = {each.row: each for each in placed}
    order: list[int] = []
    for number, each in enumerate(placed):
        if len(order) >= k:
            break
        room = k - len(order) - (1 if number == 0 and len(placed) > 1 and k > 1 else 0)
        if each.row not in order:
            order.append(each.row)
        needed = [row for row in _needs(each.row, roster) if within is None or within[row]]
        for row in needed[: max(room - 1, 0)]:
            if row not in order and len(order) < k:
                order.append(row)
                wanted_by.setdefault(row, []).append(each.row)
    return [_placed(row, own, wanted_by) for row in order[:k]]


def _placed(row: int, own: Mapping[int, Placed], wanted_by: Mapping[int, list[int]]) -> Placed:
    alternatives = own[row].alternatives if row in own else ()
    return Placed(row, alternatives, tuple(wanted_by.get(row, ())))


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


def _is_same(vectors: FloatMatrix, servers: Sequence[int], first: int, second: int) -> bool:
    if servers[first] == servers[second]:
        return False
    return float(vectors[first] @ vectors[second]) >= _SAME_MEANING
