"""What the HTTP face is built from: opened parts, each known by the little that is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ParamSpec, Protocol, TypeVar, cast

import anyio
import anyio.to_thread
from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from toolcrib_registry.errors import NotPermitted
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangePolicy,
    Entry,
    EntryId,
    JsonObject,
    Revision,
    Server,
    ServerName,
)
from toolcrib_server.answers.cache import AnswerCache
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.guard import KeyRing, Principal, Role, principal_of
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.models.desk import ModelDesk
from toolcrib_server.invocation.records.meter import CallMeter
from toolcrib_server.invocation.traffic.meter import PathReading
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.learning.refusing import NeedDesk
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.meter import SearchMeter
from toolcrib_server.selection.question import EVERY_STAGE, NO_FILTERS, Filters, Stages
from toolcrib_server.selection.selector import Answer, Found
from toolcrib_server.selection.tokens import TokenCounter
from toolcrib_server.sync.health import IndexGuard, IndexHealth
from toolcrib_server.sync.index_writer import IndexReport
from toolcrib_server.sync.meter import SyncMeter
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.views.desk import ViewDesk

P = ParamSpec("P")
T = TypeVar("T")

_STORE_THREADS = 8
_MAX_REVISION = 2**63 - 1
_READERS = 32
"""Streams of changes at once: each looks at the log's head a few times a second."""


class Searcher(Protocol):
    """Ranks entries for a query."""

    async def search(
        self,
        query: str | Sequence[str],
        *,
        k: int = 5,
        filters: Filters = NO_FILTERS,
        stages: Stages = EVERY_STAGE,
        principal: str = "",
    ) -> Answer:
        """Return the ``k`` entries that fit best for who asks, best first."""
        ...

    async def read(self, found: Sequence[Found]) -> Mapping[EntryId, Entry]:
        """Read what was found in full."""
        ...


class Invoker(Protocol):
    """The one way out for calls."""

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        asker: Asker,
        *,
        whole: bool = False,
    ) -> JsonObject:
        """Call a tool by its public name; return its result object as MCP has it."""
        ...

    def read_result(self, uri: str, *, principal: str) -> JsonObject:
        """Read a page of a kept result: the result object of ``resources/read``."""
        ...


class Syncer(Protocol):
    """Makes the registry say what the upstreams say."""

    async def sync(
        self, names: Sequence[ServerName] | None = None, *, actor: str = "sync"
    ) -> tuple[SyncReport, ...]:
        """Sync the named servers, or every enabled one; a failure is in its report."""
        ...


class Registrar(Protocol):
    """Adds, changes and removes servers: store, secrets, upstream link and index at once.

    Values of ``env`` and ``headers`` arrive as they were sent; literals are moved to the secrets.
    """

    async def add_server(self, server: Server, *, actor: str) -> Server:
        """Register a server; its first sync may still be under way on return."""
        ...

    async def update_server(self, server: Server, *, actor: str) -> Server:
        """Replace a server's settings."""
        ...

    async def remove_server(self, name: ServerName, *, actor: str) -> object:
        """Remove a server and all it owns."""
        ...


class Indexer(Protocol):
    """Keeps the index at the head of the change log."""

    @property
    def revision(self) -> Revision | None:
        """How far the index is; None before it has been opened."""
        ...

    async def catch_up(self) -> IndexReport:
        """Bring the index to the head, then return."""
        ...


class StderrReader(Protocol):
    """Reads what servers said on their standard error."""

    def __call__(self, server: ServerName, *, lines: int) -> Sequence[str]:
        """Read the last lines, oldest first."""
        ...


def nothing_said(server: ServerName, *, lines: int) -> Sequence[str]:
    """Say that no server said anything."""
    return ()


def no_blockers() -> Sequence[str]:
    """Say that nothing keeps it from serving."""
    return ()


def not_stopping() -> bool:
    """Say that the process goes on serving."""
    return False


def nobody() -> Collection[ServerName]:
    """Say that no server syncs now."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is measured in this process: each part's own meter."""

    began: Revision = Revision(0)
    """The head of the change log when the process started."""
    syncs: SyncMeter = field(default_factory=SyncMeter)
    running: Callable[[], Collection[ServerName]] = nobody
    searches: SearchMeter = field(default_factory=SearchMeter)
    calls: CallMeter = field(default_factory=CallMeter)
    path: Callable[[], PathReading] = PathReading
    """How the queues and breakers of calls stand now."""
    guard: IndexGuard | None = None

    @property
    def index_health(self) -> IndexHealth | None:
        """What the last comparison of index and registry showed."""
        return self.guard.health if self.guard else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """The opened parts. ``blockers`` names what keeps the process from serving right now."""

    store: Store
    searcher: Searcher
    models: RoutedSelector
    invoker: Invoker
    syncer: Syncer
    registrar: Registrar
    indexer: Indexer
    feedback: FeedbackDesk
    needs: NeedDesk
    routing: RoutingDesk
    read_stderr: StderrReader = nothing_said
    keys: KeyRing
    version: str
    blockers: Callable[[], Sequence[str]] = no_blockers
    desk: ModelDesk | None = None
    """Who embeds and lists models; without one, nobody does."""
    chat: ChatDesk | None = None
    """Who answers chats; without one, none is answered."""
    answers: AnswerCache | None = None
    """Who gives answers again; without one, none is."""
    views: ViewDesk | None = None
    """Who keeps views; without one, there are none."""
    count_tokens: Callable[[str], int] = field(default_factory=TokenCounter)
    allow_stdio: bool = False
    """Whether an administrator may register servers that run a command on this machine."""
    on_change: ChangePolicy = ChangePolicy.MARK
    """The policy of a server that is registered without one."""
    limiter: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(_STORE_THREADS)
    )

    readers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_READERS))
    """Who may follow the change log at once."""
    stopping: Callable[[], bool] = not_stopping
    standing: Standing = field(default_factory=Standing)

    async def in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of the store in a worker thread."""
        work = partial(call, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=self.limiter)


def _deps(request: Request) -> Deps:
    return cast("Deps", request.app.state.deps)


def _user(
    request: Request,
    _shown: Annotated[
        HTTPAuthorizationCredentials | None,
        Security(HTTPBearer(auto_error=False, description="An API key of this server.")),
    ],
) -> Principal:
    return principal_of(request.scope)


def _admin(principal: Annotated[Principal, Depends(_user)]) -> Principal:
    if principal.role is not Role.ADMIN:
        raise NotPermitted("This needs an administrator's API key; yours may search and call.")
    return principal


Parts = Annotated[Deps, Depends(_deps)]
User = Annotated[Principal, Depends(_user)]
Admin = Annotated[Principal, Depends(_admin)]
SeenRevision = Annotated[
    int | None,
    Query(ge=1, le=_MAX_REVISION, description="The revision of the entry that was looked at."),
]
