"""Writes what people and files say about servers and catalogues, and makes it findable.

Secrets are moved out of what is stored; a link to a server that changed is dropped; the index is
at the new revision when a method returns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread

from toolcrib_registry.errors import AlreadyExists
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    Change,
    ChangeAction,
    EntryChanges,
    EntryId,
    Model,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    Tool,
)
from toolcrib_server.catalog.merge import merge_models
from toolcrib_server.upstream.config.secrets import SecretStore, seal

from .bulk import uncollected
from .diff import Difference, compare
from .embedder import Progress
from .index_writer import IndexReport
from .indexer import Indexer
from .writer import Review, approve_everything


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed in the registry, and what was embedded for it."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    servers: int = 0
    problems: tuple[str, ...] = ()
    index: IndexReport

    @property
    def changed(self) -> bool:
        """Whether anything in the registry is different now."""
        return bool(self.added or self.updated or self.removed)


@dataclass(slots=True)
class _Written:
    """What an import has written so far."""

    changes: list[Change] = field(default_factory=list[Change])
    unchanged: int = 0
    servers: int = 0
    problems: list[str] = field(default_factory=list[str])


class Registrar:
    """The write side of the registry for people, the API and files."""

    def __init__(
        self,
        store: Store,
        secrets: SecretStore,
        indexer: Indexer,
        *,
        drop: Callable[[ServerName], Awaitable[None]],
        notice: Callable[[ServerName], None] = lambda _: None,
        review: Review = approve_everything,
        forget: Callable[[ServerName], None] = lambda _: None,
    ) -> None:
        """``drop`` closes what leads to a server; ``forget`` removes files about one that went."""
        self._store = store
        self._forget = forget
        self._secrets = secrets
        self._indexer = indexer
        self._drop = drop
        self._notice = notice
        self._review = review

    async def add_server(self, server: Server, *, actor: str) -> Server:
        """Register a server. Its tools come with its first sync.

        Raises:
            AlreadyExists: The name is taken.
        """
        await anyio.to_thread.run_sync(self._refuse_taken, server.name)
        added = await anyio.to_thread.run_sync(partial(self._add, server, actor))
        await self._indexer.catch_up()
        self._notice(added.name)
        return added

    async def update_server(self, server: Server, *, actor: str) -> Server:
        """Replace a server's settings, or turn it on or off.

        Its connections are closed, unless all is as it was: a file is read again at each start.

        Raises:
            NotFound: It is not registered.
        """
        updated, is_same = await anyio.to_thread.run_sync(partial(self._update, server, actor))
        if not is_same:
            await self._drop(updated.name)
        await self._indexer.catch_up()
        self._notice(updated.name)
        return updated

    async def remove_server(self, name: ServerName, *, actor: str) -> None:
        """Forget a server, all that it owns, and its secrets.

        Raises:
            NotFound: It is not registered.
        """
        await anyio.to_thread.run_sync(partial(self._store.remove_server, name, actor=actor))
        await self._drop(name)
        await anyio.to_thread.run_sync(self._secrets.remove_server, name)
        await anyio.to_thread.run_sync(self._forget, name)
        await self._indexer.catch_up()

    async def import_tools(
        self,
        tools: Iterable[Tool],
        *,
        source: str,
        actor: str,
        on_progress: Progress | None = None,
    ) -> ImportReport:
        """Import catalogue tools, a server at a time.

        What an earlier import of the same source had of a server and this one has not is removed.
        Tools of a live server are left alone, and said so.
        """
        write = partial(self._import, tuple(tools), source, actor)
        written = await anyio.to_thread.run_sync(write)
        return await self._finish(written, on_progress)

    async def import_models(
        self, models: Sequence[Model], *, actor: str, on_progress: Progress | None = None
    ) -> ImportReport:
        """Import models with their offers; one that is there already learns what is new."""
        write = partial(self._import_models, models, actor)
        changes = await anyio.to_thread.run_sync(write)
        written = _Written(changes=list(changes), unchanged=len(models) - len(changes))
        return await self._finish(written, on_progress)

    async def _finish(self, written: _Written, on_progress: Progress | None) -> ImportReport:
        index = await self._indexer.catch_up(on_progress=on_progress)
        return ImportReport(
            added=_count(written.changes, ChangeAction.ADDED),
            updated=_count(written.changes, ChangeAction.UPDATED),
            removed=_count(written.changes, ChangeAction.REMOVED),
            unchanged=written.unchanged,
            servers=written.servers,
            problems=tuple(written.problems),
            index=index,
        )

    # --- in a worker thread ----------------------------------------------------------------

    def _refuse_taken(self, name: ServerName) -> None:
        # Before anything is sealed: the secrets under this name are somebody else's.
        if self._store.find_server(name):
            raise AlreadyExists("server", name)

    def _add(self, server: Server, actor: str) -> Server:
        return self._store.add_server(seal(server, self._secrets), actor=actor)

    def _update(self, server: Server, actor: str) -> tuple[Server, bool]:
        before, known = self._store.get_server(server.name), self._secrets_of(server.name)
        updated = self._store.update_server(seal(server, self._secrets), actor=actor)
        settings = replace(updated, health=before.health, added_at=before.added_at)
        return updated, settings == before and self._secrets_of(server.name) == known

    def _secrets_of(self, name: ServerName) -> dict[str, str | None]:
        keys = (key for key in self._secrets.list_keys() if key.startswith(f"{name}/"))
        return {key: self._secrets.find(key) for key in keys}

    def _import_models(self, models: Sequence[Model], actor: str) -> tuple[Change, ...]:
        known = self._store.get_entries([model.id for model in models])
        merged = [
            merge_models(old, model) if isinstance(old := known.get(model.id), Model) else model
            for model in models
        ]
        return self._store.put_models(merged, actor=actor)

    @uncollected()
    def _import(self, tools: Sequence[Tool], source: str, actor: str) -> _Written:
        by_server: dict[ServerName, list[Tool]] = {}
        for tool in tools:
            by_server.setdefault(tool.server, []).append(tool)
        registered = {server.name: server for server in self._store.iter_servers()}
        known = self._store.hashes_by_server()
        written = _Written()
        missing: list[Server] = []
        wanted: list[EntryChanges] = []
        for name, owned in by_server.items():
            server = registered.get(name)
            if server is None:
                server = _catalogue(name, source)
                missing.append(server)
            if server.callable:
                written.problems.append(
                    f"{name!r} is a live server here: {len(owned)} tools of the file were left out"
                )
                continue
            difference = _difference(server, owned, known.get(name, {}), source, written)
            if difference.changes.upserts or difference.changes.removals:
                wanted.append(self._reviewed(server, difference, known.get(name, {})))
        if missing or wanted:
            written.changes += self._store.add_catalogues(missing, wanted, actor=actor)
        return written

    def _reviewed(
        self, server: Server, difference: Difference, known: Mapping[EntryId, str]
    ) -> EntryChanges:
        changes = difference.changes
        touched = (*(entry.id for entry in changes.upserts), *changes.removals)
        stored = [id_ for id_ in touched if id_ in known]
        before = self._store.get_entries(stored) if stored else {}
        return self._review(server, difference, before)


def _difference(
    catalogue: Server,
    owned: Sequence[Tool],
    known: Mapping[EntryId, str],
    source: str,
    written: _Written,
) -> Difference:
    difference = compare(catalogue.name, owned, known)
    written.unchanged += difference.unchanged
    written.servers += 1
    written.problems += [f"{q.name}: {q.reason}" for q in difference.collisions]
    if catalogue.transport == CatalogTransport(source):
        return difference
    # Another file's catalogue of that name: what this one does not list is not gone.
    return replace(difference, changes=replace(difference.changes, removals=()))


def _catalogue(name: ServerName, source: str) -> Server:
    return Server(
        name=name,
        transport=CatalogTransport(source),
        origin=f"import:{source}",
        health=ServerHealth(status=ServerStatus.READY),
    )


def _count(changes: Sequence[Change], action: ChangeAction) -> int:
    return sum(
        change.action is action and not change.subject.startswith("server:") for change in changes
    )
