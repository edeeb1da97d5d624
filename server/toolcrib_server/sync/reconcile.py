"""Makes the registry say what an upstream server says: list, compare, write once, index.

A server that cannot be reached keeps its last good entries and is marked unreachable; it never
empties the catalogue. One server's trouble is one report's error and delays nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread

from toolcrib_registry.errors import AlreadyExists, UpstreamError
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    Change,
    ChangeAction,
    EntryId,
    Revision,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
)
from toolcrib_server.upstream.listing import Listing

from .diff import Difference, compare, entries_of
from .indexer import Indexer, Progress

POLLER = "sync"
"""The actor of syncs that happen by themselves."""


class Lister(Protocol):
    """Lists everything a server has to offer."""

    async def list_all(self, server: Server) -> Listing:
        """List all of it, or raise an `UpstreamError`."""
        ...

    async def aclose_server(self, name: ServerName) -> None:
        """Drop the link, and with it any pause before the next attempt."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What one sync of one server found and did. ``error`` is None when it succeeded."""

    server: ServerName
    status: ServerStatus
    added: tuple[EntryId, ...] = ()
    updated: tuple[EntryId, ...] = ()
    removed: tuple[EntryId, ...] = ()
    unchanged: int = 0
    quarantined: int = 0
    revision: Revision = Revision(0)
    duration_s: float = 0.0
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether anything in the registry is different now."""
        return bool(self.added or self.updated or self.removed)


@dataclass(slots=True)
class _ServerLock:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    waiting: int = 0


class Reconciler:
    """Syncs servers: any number at once, each at most once at a time."""

    def __init__(
        self,
        store: Store,
        lister: Lister,
        indexer: Indexer,
        *,
        concurrency: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._lister = lister
        self._indexer = indexer
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._now = now
        self._locks: dict[ServerName, _ServerLock] = {}

    async def sync(
        self,
        names: Sequence[ServerName] | None = None,
        *,
        actor: str = POLLER,
        on_report: Callable[[SyncReport], None] | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[SyncReport, ...]:
        """Sync the named servers, or every enabled one, and bring the index to the same revision.

        Reports come in the order of the names. ``on_report`` sees each as it is made.

        Raises:
            NotFound: A name is not registered.
        """
        servers = await anyio.to_thread.run_sync(self._servers, names)
        reports: dict[ServerName, SyncReport] = {}

        async def one(server: Server) -> None:
            async with self._limiter:
                report = await self._sync_one(server, actor)
            # At once, not after the slowest server: what was written is findable now.
            index = await self._indexer.catch_up(on_progress=on_progress)
            reports[server.name] = replace(report, revision=index.revision)
            if on_report:
                on_report(reports[server.name])

        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(one, server)
        return tuple(reports[server.name] for server in servers)

    def _servers(self, names: Sequence[ServerName] | None) -> tuple[Server, ...]:
        if names is not None:
            return tuple(self._store.get_server(name) for name in dict.fromkeys(names))
        every = self._store.iter_servers()
        return tuple(server for server in every if server.enabled and server.callable)

    async def _sync_one(self, server: Server, actor: str) -> SyncReport:
        started = time.monotonic()
        held = self._locks.setdefault(server.name, _ServerLock())
        held.waiting += 1
        try:
            async with held.lock:
                report = await self._reconcile(server, actor)
        finally:
            held.waiting -= 1
            if not held.waiting:
                self._locks.pop(server.name, None)
        return replace(report, duration_s=time.monotonic() - started)

    async def _reconcile(self, server: Server, actor: str) -> SyncReport:
        if isinstance(server.transport, CatalogTransport):
            return SyncReport(server=server.name, status=server.health.status)
        if actor != POLLER and server.health.status is ServerStatus.UNREACHABLE:
            # Somebody asked, having mended it perhaps: do not make them wait for a retry.
            await self._lister.aclose_server(server.name)
        try:
            listing = await self._lister.list_all(server)
        except UpstreamError as error:
            return await self._failed(server, error.detail)
        try:
            return await anyio.to_thread.run_sync(self._write, server, listing, actor)
        except AlreadyExists as error:
            return await self._failed(server, error.detail)

    async def _failed(self, server: Server, error: str) -> SyncReport:
        health = replace(
            server.health,
            status=ServerStatus.UNREACHABLE,
            attempted_at=self._now(),
            error=error,
        )
        write = partial(self._store.set_health, server.name, health)
        await anyio.to_thread.run_sync(write)
        return SyncReport(server=server.name, status=health.status, error=error)

    def _write(self, server: Server, listing: Listing, actor: str) -> SyncReport:
        known = self._store.entry_hashes(server.name)
        entries = entries_of(server.name, listing)
        difference = compare(server.name, entries, known, unlisted=listing.failed_kinds)
        health = self._health(listing, difference)
        changes = self._store.apply(difference.changes, actor=actor, health=health)
        return SyncReport(
            server=server.name,
            status=health.status,
            added=_subjects(changes, ChangeAction.ADDED),
            updated=_subjects(changes, ChangeAction.UPDATED),
            removed=_subjects(changes, ChangeAction.REMOVED),
            unchanged=difference.unchanged,
            quarantined=len(health.quarantined),
        )

    def _health(self, listing: Listing, difference: Difference) -> ServerHealth:
        now = self._now()
        quarantined = (*listing.quarantined, *difference.collisions)
        return ServerHealth(
            status=ServerStatus.DEGRADED if quarantined else ServerStatus.READY,
            attempted_at=now,
            synced_at=now,
            protocol_version=listing.protocol_version,
            reported_name=listing.reported_name,
            reported_version=listing.reported_version,
            instructions=listing.instructions,
            quarantined=quarantined,
        )


def _subjects(changes: Sequence[Change], action: ChangeAction) -> tuple[EntryId, ...]:
    return tuple(EntryId(change.subject) for change in changes if change.action is action)
