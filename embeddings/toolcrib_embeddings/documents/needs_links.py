"""Needs by entry, derived a server at a time when first asked for, and kept until it changes.

Knows servers and ids; what rows there are is told by whoever asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from toolcrib_registry.types import EntryId, ServerName

from .needs import Facts, is_code
from .needs_graph import Graph, Member

Needed: TypeAlias = tuple[EntryId, str]
"""An entry that is needed, and why."""
_TELLING: Final = ("get", "lookup", "find", "search", "resolve")


class Links:
    """What entries of each server need, as their schemas say. Safe in any number of threads."""

    def __init__(
        self, known: Mapping[ServerName, Mapping[EntryId, tuple[Needed, ...]]] | None = None
    ) -> None:
        self._known = dict(known or {})
        self._lock = threading.Lock()

    def without(self, servers: Collection[ServerName | None]) -> Links:
        """Keep what is known of other servers."""
        with self._lock:
            return Links({name: its for name, its in self._known.items() if name not in servers})

    def find(
        self,
        server: ServerName,
        entry: EntryId,
        read: Callable[[], Sequence[tuple[EntryId, Member]]],
    ) -> tuple[Needed, ...]:
        """Tell what an entry needs of its server. ``read`` gives the server's tools."""
        known = self._known.get(server)
        if known is None:
            with self._lock:
                known = self._known.get(server)
                if known is None:
                    known = self._known[server] = derive(read())
        return known.get(entry, ())


def derive(members: Sequence[tuple[EntryId, Member]]) -> dict[EntryId, tuple[Needed, ...]]:
    """Tell of each tool of a server what it needs; those that need nothing are left out."""
    graph = Graph([member for _, member in members])
    found: dict[EntryId, tuple[Needed, ...]] = {}
    for place, (id_, _) in enumerate(members):
        if needs := graph.needs(place):
            found[id_] = tuple((members[need.place][0], need.why) for need in needs)
    return found


def names_abroad(facts: Facts) -> Iterator[tuple[str, str]]:
    """Name what may be in another server of the same imported files, and why it is needed.

    Only what is spoken of by name, and what tells a code of a public list: an id means something
    to the service alone that gave it.
    """
    for name in facts.after:
        yield name, f"its description says that {name} comes first"
    for want in facts.wants:
        for name in want.spoken:
            yield name, f"{want.name} comes from {name}"
        words = want.words.split()
        if is_code(words):
            for verb in _TELLING:
                name = "_".join((verb, *words))
                yield name, f"{want.name} is what {name} gives"
