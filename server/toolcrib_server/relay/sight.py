"""What clients of one server may see of it: the rule that decides on calls decides on lists too.

Looked up in the registry when needed, and kept for a moment. Knows no client and no connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import anyio.to_thread

from toolcrib_registry.errors import NotCallable
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangePolicy,
    EntryId,
    EntryKind,
    JsonObject,
    OwnedEntry,
    Server,
    ServerName,
    entry_id,
    hash_content,
    qualified_name,
)
from toolcrib_server.invocation.rules.permission import Permission, allows
from toolcrib_server.upstream.lists.shelves import PROMPTS, RESOURCES, TEMPLATES, TOOLS, Shelf
from toolcrib_server.upstream.lists.sifting import show_name

from .withheld import Withheld

SHELVES: Mapping[str, Shelf] = {
    shelf.method: shelf for shelf in (TOOLS, PROMPTS, RESOURCES, TEMPLATES)
}
"""The lists, by the method that asks for them."""
_KEPT_S = 5.0
"""How long a server's health may be out of date here; what the registry logs is known at once."""
_MOST_KEPT = 20_000


@dataclass(slots=True)
class Sight:
    """One server as it stands in the registry, and what of it was looked up."""

    server: Server
    until: float
    withheld: Withheld
    entries: dict[EntryId, OwnedEntry | None] = field(
        default_factory=dict[EntryId, OwnedEntry | None]
    )
    """None: the registry knows no such entry."""

    set_aside: frozenset[tuple[EntryKind, str]] = frozenset()
    """What the last sync could not take for an entry, by kind and the name that it is shown by."""

    def sets_aside(self, kind: EntryKind, name: str) -> bool:
        """Whether the last sync could not take this for an entry."""
        return bool(self.set_aside) and (kind, show_name(name)) in self.set_aside


class Sights:
    """What may be seen of each server."""

    def __init__(self, store: Store, permission: Permission) -> None:
        self._store = store
        self._permission = permission
        self._kept: dict[ServerName, Sight] = {}
        self._reading = anyio.Lock()

    def forget(self) -> None:
        """Look everything up again: the registry has changed."""
        # A new one: what is being read now may be old already, and goes into the one before.
        self._kept = {}

    async def see(self, name: ServerName, principal: str) -> Sight:
        """Return what stands in the registry of a server that may be asked something.

        Raises:
            NotFound: There is no such server; near names are offered.
            NotCallable: It is disabled, or a catalogue.
        """
        sight = await self._see(name)
        self._permission.check(principal, sight.server, None)
        return sight

    async def get_server(self, name: ServerName) -> Server:
        """Return a registered server, whatever may be done with it.

        Raises:
            NotFound: There is no such server; near names are offered.
        """
        return (await self._see(name)).server

    async def _see(self, name: ServerName) -> Sight:
        sight = self._find(name)
        if sight is not None:
            return sight
        async with self._reading:  # whoever comes meanwhile waits for the one look-up
            sight = self._find(name)
            if sight is None:
                kept = self._kept
                sight = await anyio.to_thread.run_sync(self._read, name, anyio.current_time())
                kept[name] = sight
        return sight

    def _find(self, name: ServerName) -> Sight | None:
        sight = self._kept.get(name)
        return sight if sight is not None and anyio.current_time() <= sight.until else None

    async def sift(
        self, sight: Sight, principal: str, shelf: Shelf, listed: Sequence[Any]
    ) -> list[Any]:
        """Return the objects of a list that may be shown: those that could be called too."""
        named: dict[str, Any] = {}
        for each in listed:
            named.setdefault(_identity(each, shelf), each)  # of several, the first counts
        named.pop("", None)
        ids = {
            name: entry_id(shelf.kind, qualified_name(sight.server.name, name)) for name in named
        }
        entries = await self._look_up(sight, list(ids.values()))
        return [
            each
            for name, each in named.items()
            if self._may_show(sight, principal, entries[ids[name]], each)
            and (entries[ids[name]] is not None or not sight.sets_aside(shelf.kind, name))
        ]

    async def check(self, sight: Sight, principal: str, kind: EntryKind, name: str) -> None:
        """Let pass what may be used.

        Raises:
            ToolcribError: It may not; `EntryQuarantined`, `NotCallable` or `NotPermitted`.
        """
        id_ = entry_id(kind, qualified_name(sight.server.name, name))
        entry = (await self._look_up(sight, [id_]))[id_]
        if entry is not None:
            self._permission.check(principal, sight.server, entry)
        elif sight.sets_aside(kind, name):
            raise NotCallable(f"{name!r} of {sight.server.name!r} was set aside by the last sync.")
        elif _awaits_review(sight.server):
            raise NotCallable(
                f"{name!r} of {sight.server.name!r} is new, and what is new there is quarantined."
            )
        elif kind is EntryKind.RESOURCE and sight.withheld.covers(name):
            raise NotCallable(
                f"{name!r} belongs to a template that is disabled or quarantined, or is another "
                "spelling of such a resource."
            )

    def _may_show(
        self, sight: Sight, principal: str, entry: OwnedEntry | None, listed: JsonObject
    ) -> bool:
        if not _awaits_review(sight.server):
            return entry is None or allows(self._permission, principal, sight.server, entry)
        # What has changed since the last sync is not what was approved.
        is_known = entry is not None and entry.content_hash == hash_content(listed)
        return is_known and allows(self._permission, principal, sight.server, entry)

    async def _look_up(
        self, sight: Sight, ids: Sequence[EntryId]
    ) -> Mapping[EntryId, OwnedEntry | None]:
        known = sight.entries
        unknown = [id_ for id_ in ids if id_ not in known]
        if not unknown:
            return known
        found = await anyio.to_thread.run_sync(self._store.get_entries, unknown)
        if len(known) + len(unknown) > _MOST_KEPT:
            known = {id_: known.get(id_) for id_ in ids}
            sight.entries = known
        for id_ in unknown:
            entry = found.get(id_)
            known[id_] = entry if isinstance(entry, OwnedEntry) else None
        return known

    def _read(self, name: ServerName, now: float) -> Sight:
        server = self._store.get_server(name)
        withheld = self._store.withheld(name)
        resources = Withheld(one for kind, one in withheld if kind is EntryKind.RESOURCE)
        aside = frozenset((each.kind, each.name) for each in server.health.malformed)
        return Sight(server, now + _KEPT_S, resources, set_aside=aside)


def _awaits_review(server: Server) -> bool:
    """Whether what is not as it was approved stays out; the first listing of all is trusted."""
    is_known = server.health.synced_at is not None
    return is_known and server.on_change is ChangePolicy.QUARANTINE


def _identity(listed: object, shelf: Shelf) -> str:
    """Name a listed object; what has no name can neither be judged nor called."""
    name = cast("JsonObject", listed).get(shelf.identity) if isinstance(listed, dict) else None
    return name if isinstance(name, str) else ""
