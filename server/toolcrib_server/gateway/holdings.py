"""The prompts and resources of all servers, by the names and URIs that clients know them by.

Read from the registry when first asked for after a change. Holds names, no definitions: there may
be many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryId,
    EntryKind,
    OwnedEntry,
    Resource,
    Server,
    ServerName,
    Trust,
)

from .uritemplates import UriTemplate


@dataclass(frozen=True, slots=True)
class Pattern:
    """A resource template that may be read by."""

    server: ServerName
    template: UriTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What there is. Ids are sorted, and only of what can be used."""

    servers: Mapping[ServerName, Server]
    prompts: tuple[EntryId, ...]
    resources: tuple[EntryId, ...]
    templates: tuple[EntryId, ...]
    owners: Mapping[str, tuple[ServerName, ...]]
    """Which servers list a URI, or a URI template, that can be used."""
    withheld: Mapping[str, ServerName]
    """A server that lists a URI which cannot be used, because it is quarantined or switched off."""
    patterns: tuple[Pattern, ...]

    def who_may_have(self, uri: str) -> tuple[ServerName, ...]:
        """Name the servers that have a template for a URI."""
        fitting = (p.server for p in self.patterns if p.template.matches(uri))
        return tuple(dict.fromkeys(fitting))


class Shelf:
    """Keeps the holdings until the registry changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: Holdings | None = None
        self._reading = anyio.Lock()
        self._forgotten = 0

    def forget(self) -> None:
        """Read them again when next asked: the registry has changed."""
        self._kept = None
        self._forgotten += 1

    async def look(self) -> Holdings:
        """Return what there is now."""
        if self._kept is not None:
            return self._kept
        async with self._reading:
            if self._kept is not None:
                return self._kept
            began = self._forgotten
            holdings = await anyio.to_thread.run_sync(read_holdings, self._store)
            if began == self._forgotten:
                self._kept = holdings
            return holdings


def read_holdings(store: Store, *, only: Sequence[EntryId] | None = None) -> Holdings:
    """Read what there is from the registry; of it only these entries, if any are given."""
    if only is None:
        prompts = list(_owned(store.iter_entries(kind=EntryKind.PROMPT, live=True)))
        resources = list(_owned(store.iter_entries(kind=EntryKind.RESOURCE)))
    else:
        chosen = list(_owned(store.get_entries(only).values()))
        prompts = [entry for entry in chosen if entry.kind is EntryKind.PROMPT]
        resources = [entry for entry in chosen if entry.kind is EntryKind.RESOURCE]
    named = {entry.server for entry in (*prompts, *resources)}
    servers = store.find_servers(list(named))
    usable = [entry for entry in resources if _is_usable(entry, servers)]
    return Holdings(
        servers=servers,
        prompts=_ids(entry for entry in prompts if _is_usable(entry, servers)),
        resources=_ids(entry for entry in usable if not _is_template(entry)),
        templates=_ids(entry for entry in usable if _is_template(entry)),
        owners=_owners(usable),
        withheld={e.local_name: e.server for e in resources if not _is_usable(e, servers)},
        patterns=tuple(
            Pattern(entry.server, UriTemplate(entry.local_name))
            for entry in usable
            if _is_template(entry)
        ),
    )


def _owned(entries: Iterable[object]) -> Iterator[OwnedEntry]:
    return (entry for entry in entries if isinstance(entry, OwnedEntry))


def _is_usable(entry: OwnedEntry, servers: Mapping[ServerName, Server]) -> bool:
    server = servers.get(entry.server)
    if server is None or not server.enabled or not server.callable:
        return False
    return entry.enabled and entry.trust is not Trust.QUARANTINED


def _is_template(entry: OwnedEntry) -> bool:
    return isinstance(entry, Resource) and entry.is_template


def _ids(entries: Iterable[OwnedEntry]) -> tuple[EntryId, ...]:
    return tuple(sorted(entry.id for entry in entries))


def _owners(entries: Iterable[OwnedEntry]) -> dict[str, tuple[ServerName, ...]]:
    found: dict[str, tuple[ServerName, ...]] = {}
    for entry in entries:
        found[entry.local_name] = (*found.get(entry.local_name, ()), entry.server)
    return found
