"""Parts for tests of the HTTP face: a real store and index, and stand-ins for what needs upstreams.

Each stand-in is a plain second implementation of what `deps` asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.errors import NotCallable
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryId,
    EntryKind,
    JsonObject,
    Server,
    ServerName,
    ServerStatus,
)
from toolcrib_server.guard import KeyRing
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.results.shelf import ResultShelf
from toolcrib_server.learning.companions import CompanionDesk
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.mode import LearningMode, Sharing
from toolcrib_server.learning.recorder import OutcomeLog
from toolcrib_server.learning.refusing import NeedDesk
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.models import ModelSelector
from toolcrib_server.selection.question import Stages
from toolcrib_server.selection.selector import Selector
from toolcrib_server.selection.tokens import TokenCounter
from toolcrib_server.sync.health import IndexGuard
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.views.desk import ViewDesk
from toolcrib_server.views.resolving import Resolver

from .deps import Deps, Standing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreRegistrar:
    """Registers servers in the store and index. Keeps values as they come; connects nowhere."""

    store: Store
    indexer: Indexer

    async def add_server(self, server: Server, *, actor: str) -> Server:
        """Register a server."""
        added = await _in_thread(partial(self.store.add_server, server, actor=actor))
        await self.indexer.catch_up()
        return added

    async def update_server(self, server: Server, *, actor: str) -> Server:
        """Replace a server's settings."""
        updated = await _in_thread(partial(self.store.update_server, server, actor=actor))
        await self.indexer.catch_up()
        return updated

    async def remove_server(self, name: ServerName, *, actor: str) -> None:
        """Remove a server."""
        await _in_thread(partial(self.store.remove_server, name, actor=actor))
        await self.indexer.catch_up()


@dataclass(frozen=True, slots=True)
class EchoInvoker:
    """Answers a call of a known tool with its arguments; remembers who called what.

    ``failures`` maps a tool's name to the error that calling it raises.
    """

    store: Store
    failures: Mapping[str, Exception] = field(default_factory=dict[str, Exception])
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Tool, face and principal of each call."""
    shelf: ResultShelf = field(default_factory=ResultShelf)

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        whole: bool = False,
    ) -> JsonObject:
        """Answer with the arguments."""
        self.calls.append((name, asker.face, asker.principal))
        if name in self.failures:
            raise self.failures[name]
        entry = await _in_thread(partial(self.store.get_entry, EntryKind.TOOL, name))
        if not entry.enabled:
            raise NotCallable(f"Tool {name!r} is disabled.")
        text = {"type": "text", "text": f"{name} with timeout {asker.timeout_s}"}
        return {"content": [text], "structuredContent": dict(arguments), "isError": False}

    def read_result(self, uri: str, *, principal: str) -> JsonObject:
        """Read what a test has put on the shelf."""
        return self.shelf.read(principal, uri)


@dataclass(frozen=True, slots=True)
class IdleSyncer:
    """Reports every server as unchanged."""

    store: Store

    async def sync(
        self, names: Sequence[ServerName] | None = None, *, actor: str = "sync"
    ) -> tuple[SyncReport, ...]:
        """Report on the named servers, or on all."""
        servers = await _in_thread(partial(self._servers, names))
        return tuple(
            SyncReport(server=server.name, status=ServerStatus.READY) for server in servers
        )

    def _servers(self, names: Sequence[ServerName] | None) -> tuple[Server, ...]:
        if names is None:
            return self.store.list_servers().items
        return tuple(self.store.get_server(name) for name in names)


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


def open_desk(
    store: Store,
    indexer: Indexer,
    searcher: Selector,
    *,
    mode: LearningMode,
    sharing: Sharing,
) -> FeedbackDesk:
    """Open what faces ask of learning, as the runtime does."""
    log = OutcomeLog(store, mode=mode, sharing=sharing, keep=1_000)
    learner = Learner(store, indexer.index, mode=mode, sharing=sharing)

    async def recall(query: str) -> list[EntryId]:
        stages = Stages(fold=False, dependencies=False)
        answer = await searcher.search(query, k=100, stages=stages)
        return [found.entry.id for found in answer.found]

    return FeedbackDesk(store, log, learner, recall)


@contextmanager
def open_deps(
    folder: Path,
    *,
    keys: KeyRing | None = None,
    allow_stdio: bool = False,
    failures: Mapping[str, Exception] | None = None,
    learning: LearningMode = LearningMode.FEEDBACK,
    sharing: Sharing = Sharing.PRINCIPAL,
    routing: RoutingMode = RoutingMode.ON,
    stopping: Callable[[], bool] = lambda: True,
) -> Generator[Deps]:
    """Open what `build_api` needs over a fresh database in ``folder``.

    A stream gives what there is and ends, unless ``stopping`` says otherwise.
    """
    store = open_store(f"sqlite:///{folder / 'toolcrib.db'}")
    indexer = Indexer(store, open_encoder=HashEncoder, folder=folder / "index")
    searcher = Selector(store, indexer.index)
    learner = RoutingLearner(store, indexer.index, mode=routing, sharing=sharing)
    counter = TokenCounter()
    try:
        yield Deps(
            store=store,
            searcher=searcher,
            models=RoutedSelector(ModelSelector(store, indexer.index), learner, indexer.index),
            routing=RoutingDesk(store, learner, keep=1_000),
            invoker=EchoInvoker(store, failures or {}),
            syncer=IdleSyncer(store),
            registrar=StoreRegistrar(store, indexer),
            indexer=indexer,
            feedback=open_desk(store, indexer, searcher, mode=learning, sharing=sharing),
            needs=NeedDesk(store, CompanionDesk(store, mode=learning, sharing=sharing)),
            keys=keys or KeyRing(),
            views=ViewDesk(store, Resolver(store, counter), count_tokens=counter),
            version="0.0.0",
            allow_stdio=allow_stdio,
            stopping=stopping,
            standing=Standing(searches=searcher.meter, guard=IndexGuard(store, indexer)),
        )
    finally:
        store.close()
