"""The one way to every upstream server: requests, and everything that a server lists.

Requests go over connections that are opened when needed. Lists are read in full, or, where that is
cheaper, seen at a glance to be as they were.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
from mcp_types import HEADER_MISMATCH

from toolcrib_registry.errors import (
    ToolcribError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import JsonObject, Server, ServerName
from toolcrib_server.sdk import load_sdk
from toolcrib_server.task_groups import leave
from toolcrib_server.upstream.config.references import Secrets
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.failures import LinkFailure, may_repeat
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.lists.glance import Glance
from toolcrib_server.upstream.lists.listing import Listing
from toolcrib_server.upstream.lists.mirroring import NO_HEADERS, HeaderMap
from toolcrib_server.upstream.lists.schemas import SchemaCheck
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.messages.interaction import (
    ALONE,
    SHARED,
    Interaction,
    OnNotice,
    Profile,
)
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.processes.room import ProcessLimits
from toolcrib_server.upstream.processes.stderr_log import StderrLogs

from .listening import Listening
from .lister import Lister
from .places import Capacity
from .slot import ConnectionState, Slot
from .switchboard import Switchboard
from .translation import translate

logger = logging.getLogger(__name__)

_NOTIFY_S = 10.0
_WARMED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Open:
    """What an open pool works with."""

    tasks: anyio.abc.TaskGroup
    board: Switchboard
    glance: Glance
    lister: Lister


class ConnectionPool:
    """Reaches every upstream server. An async context manager; leaving it leaves no process."""

    def __init__(
        self,
        *,
        secrets: Secrets | None = None,
        logins: Logins | None = None,
        env: Mapping[str, str] | None = None,
        idle_timeout_s: float = 600.0,
        list_timeout_s: float = 60.0,
        max_message_bytes: int = 8 * 1024 * 1024,
        close_grace_s: float = 1.5,
        on_list_changed: Callable[[ServerName], None] | None = None,
        attention: Attention | None = None,
        max_warm: int = 64,
        private_idle_timeout_s: float = 300.0,
        max_private: int = 256,
        max_private_per_server: int = 64,
        processes: ProcessLimits | None = None,
        logs: StderrLogs | None = None,
    ) -> None:
        """Prepare a pool; nothing is opened before the first request.

        ``on_list_changed`` is told in the event loop and must not block: a list may have changed,
        or a change may have been missed. Servers beyond those that ``attention`` allows to be
        listened to have to be polled. A connection that was opened for a listing alone is kept
        only while fewer than ``max_warm`` others are. Connections that belong to one client each
        have limits of their own, the ``private`` ones. What servers say on their standard error
        goes into ``logs``.
        """
        self._secrets: Secrets = secrets or _NoSecrets()
        self._logins = logins
        self._env = os.environ if env is None else env
        self._list_timeout_s = list_timeout_s
        heeded = attention or Attention()
        # With nobody to tell, there is nothing to listen for.
        self._attention = heeded if on_list_changed else replace(heeded, max_listening=0)
        self._limits = LinkLimits(
            max_message_bytes=max_message_bytes,
            close_grace_s=close_grace_s,
            quiet_s=heeded.quiet_s,
            again_s=heeded.again_s,
        )
        self._told = on_list_changed
        self._capacity = Capacity(
            idle_timeout_s=idle_timeout_s,
            warm=max_warm,
            private_idle_timeout_s=private_idle_timeout_s,
            private=max_private,
            private_per_server=max_private_per_server,
            processes=processes or ProcessLimits(),
        )
        self._logs = logs
        self._schemas = SchemaCheck()
        self._unlisted: set[ServerName] = set()
        """Servers whose last listing failed."""
        self._open: _Open | None = None

    async def __aenter__(self) -> Self:
        tasks = await anyio.create_task_group().__aenter__()
        board = Switchboard(
            tasks,
            secrets=self._secrets,
            logins=self._logins,
            env=self._env,
            limits=self._limits,
            capacity=self._capacity,
            attention=self._attention,
            tell=self._tell,
            logs=self._logs,
        )
        glance = Glance(limits=self._limits, attention=self._attention)
        tasks.start_soon(board.reap)
        tasks.start_soon(board.watch_memory)
        lister = Lister(
            board,
            glance,
            check=self._schemas,
            timeout_s=self._list_timeout_s,
            agree_s=self._attention.agree_s,
        )
        self._open = _Open(tasks, board, glance, lister)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._open is not None
        tasks, glance, self._open = self._open.tasks, self._open.glance, None
        # Every owner closes its connection on the way out, all at once, in bounded time.
        tasks.cancel_scope.cancel()
        await glance.aclose()
        return await leave(tasks, kind, error, trace)

    # --- requests ------------------------------------------------------------------------------

    async def call_tool(
        self,
        server: Server,
        local_name: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        extra: JsonObject | None = None,
        mirrored: HeaderMap = NO_HEADERS,
    ) -> dict[str, Any]:
        """Call a tool by the name its server gives it; return the raw result object.

        ``mirrored`` says which arguments go into headers too, as far as the caller knows; what the
        server has listed since its connection was opened goes before it.

        ``extra`` is whatever else belongs into the parameters: ``inputResponses``,
        ``requestState``, ``task`` and what nobody here knows. Opening the connection, where that is
        needed, has its own deadline (``start_timeout_s``). A call is sent a second time only if the
        first was provably not delivered.

        Raises:
            UpstreamUnavailable: The server cannot be reached.
            UpstreamTimeout: It did not start, or did not answer, in time.
            UpstreamProtocolError: It answered with an error, or with something that is not MCP.
            ResultTooLarge: It answered with more than the limit.
            NotCallable: The server is a catalogue.
        """
        call = partial(
            self.request,
            server,
            "tools/call",
            {**(extra or {}), "name": local_name, "arguments": arguments},
            timeout_s=timeout_s,
            meta=meta,
            interaction=interaction,
        )
        try:
            return await call(mirrored=mirrored)
        except UpstreamProtocolError as error:
            if error.rpc_code != HEADER_MISMATCH:
                raise
        # It wants other arguments mirrored in headers than those that were known: it changed.
        await self.list_all(server)
        self._tell(server.name)
        return await call()

    async def request(
        self,
        server: Server,
        method: str,
        params: JsonObject,
        *,
        timeout_s: float,
        safe: bool = False,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        mirrored: HeaderMap = NO_HEADERS,
    ) -> dict[str, Any]:
        """Send any request; ``safe`` says that sending it twice does no harm.

        ``mirrored`` is for calls of tools, as for `call_tool`.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        for is_last in (False, True):
            board = self._opened(server.name).board
            slot, connection = await board.connect(server, interaction.profile)
            slot.is_called = True
            try:
                result = await connection.request(
                    method,
                    params,
                    timeout_s=timeout_s,
                    meta=meta,
                    headers=_param_headers(slot, method, params, mirrored),
                    interaction=interaction,
                )
            except LinkFailure as failure:
                if is_last or not may_repeat(failure, safe=safe):
                    raise translate(server.name, failure, slot.redact) from failure
            else:
                slot.note_answer()
                self._note_answer(server.name)
                if method == "tools/list":
                    slot.note_tools(result.get("tools"))
                return result
        raise AssertionError("the second turn returns or raises")

    async def greet(self, server: Server, *, profile: Profile = SHARED) -> Greeting:
        """Return what a server says of itself, to this client; the server is asked when needed.

        Credentials that it was given are masked where it repeats them.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        slot, connection = await self._opened(server.name).board.connect(server, profile)
        try:
            await connection.keep_greeting_fresh(timeout_s=server.start_timeout_s)
        except LinkFailure as failure:
            raise translate(server.name, failure, slot.redact) from failure
        mask, greeting = slot.redact_listing.mask_all, connection.greeting
        return replace(
            greeting,
            capabilities=mask(greeting.capabilities),
            name=mask(greeting.name),
            version=mask(greeting.version),
            instructions=mask(greeting.instructions),
            raw=mask(greeting.raw),
        )

    async def notify(
        self, server: Server, method: str, params: JsonObject, *, profile: Profile
    ) -> None:
        """Tell a server of the handshake era something, if this client has a connection to it.

        Raises:
            UpstreamError: It could not be told.
        """
        found = self._opened(server.name).board.find(server.name, profile)
        if found is None:
            return
        slot, connection = found
        try:
            with anyio.fail_after(_NOTIFY_S):
                await connection.notify(method, params)
        except TimeoutError:
            raise UpstreamTimeout(server.name, method, _NOTIFY_S) from None
        except LinkFailure as failure:
            raise translate(server.name, failure, slot.redact) from failure

    async def listen(
        self,
        server: Server,
        wanted: JsonObject,
        on_notice: OnNotice,
        *,
        profile: Profile = SHARED,
    ) -> None:
        """Tell of changes, until cancelled or the server ends it.

        ``wanted`` is the filter of ``subscriptions/listen``. The first notice is
        ``notifications/subscriptions/acknowledged`` with what the server agreed to; there is only
        one, though connections that are lost meanwhile are replaced: then all that may have changed
        is told of. No parameters bear a subscription id.

        Raises:
            UpstreamError: It agreed to nothing and said why, or it was lost for good.
            NotCallable: The server is a catalogue.
        """
        board, place = self._opened(server.name).board, _Place()

        async def once(hear: OnNotice) -> None:
            slot, connection = await board.connect(server, profile)
            place.take(slot)
            try:
                await connection.listen(wanted, hear, profile=profile)
            except LinkFailure as failure:
                raise translate(server.name, failure, slot.redact) from failure

        try:
            await Listening(on_notice, self._attention).run(once, may_go_on=place.may_go_on)
        finally:
            place.take(None)

    def warm(self, servers: Iterable[Server]) -> None:
        """Open connections to these servers ahead of the first request; nobody waits for it."""
        if self._open is not None:
            self._open.tasks.start_soon(self._warm, tuple(servers))

    async def _warm(self, servers: Sequence[Server]) -> None:
        room = anyio.CapacityLimiter(_WARMED_AT_ONCE)

        async def open_one(server: Server) -> None:
            async with room:
                try:
                    slot, _ = await self._opened(server.name).board.connect(server)
                except ToolcribError as error:
                    logger.debug("%s was not opened ahead: %s", server.name, error.detail)
                else:
                    slot.is_called = True  # it is kept as one that is used

        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(open_one, server)

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        """List everything a server has, all pages; what is malformed is set aside.

        Credentials that the server was given are masked where it repeats them. If all is as when
        ``known_digest`` was made, the listing says that it is ``unchanged``, and holds no entries.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        try:
            listing = await self._opened(server.name).lister.list_all(server, known_digest)
        except UpstreamError:
            self._unlisted.add(server.name)
            raise
        self._unlisted.discard(server.name)
        return listing

    def _note_answer(self, name: ServerName) -> None:
        if name in self._unlisted:
            # It can be reached again: what it lists is worth another look.
            self._unlisted.discard(name)
            self._tell(name)

    def _tell(self, name: ServerName) -> None:
        if self._told is None:
            return
        try:
            self._told(name)
        except Exception:
            logger.exception("Nobody could be told that a list of %s changed", name)

    # --- connections ---------------------------------------------------------------------------

    async def aclose_server(self, name: ServerName) -> None:
        """Close every connection to a server and forget its failures: the next request opens anew.

        Who listened to it is told that it is lost.
        """
        self._unlisted.discard(name)
        if self._open is not None:
            self._open.glance.forget(name)
            await self._open.board.aclose_server(name)

    async def aclose_profile(self, key: str) -> None:
        """Close every connection that belongs to the client with this key; "" is nobody's."""
        if self._open is not None and key:
            await self._open.board.aclose_profile(key)

    def states(self) -> tuple[ConnectionState, ...]:
        """Say how each connection stands, by server name."""
        return () if self._open is None else self._open.board.states()

    def _opened(self, name: ServerName) -> _Open:
        if self._open is None:
            raise UpstreamUnavailable(name, "the pool is not open")
        return self._open


class _Place:
    """Where somebody listens: it is kept meanwhile, from one connection to the next."""

    def __init__(self) -> None:
        self._slot: Slot | None = None

    def take(self, slot: Slot | None) -> None:
        """Listen there, and no more where it was before."""
        if slot is not None:
            slot.listeners += 1
        if self._slot is not None:
            self._slot.listeners -= 1
        self._slot = slot

    def may_go_on(self) -> bool:
        """Whether it was not closed on purpose."""
        return self._slot is not None and not self._slot.is_closed


class _NoSecrets:
    def find(self, key: str) -> str | None:  # there are none
        return None


def _param_headers(
    slot: Slot, method: str, params: Mapping[str, Any], known: HeaderMap
) -> Mapping[str, str] | None:
    load_sdk()
    from mcp.shared.inbound import mcp_param_headers  # noqa: PLC0415  # slow: see `sdk`

    if method != "tools/call":
        return None
    found = slot.header_maps.get(params["name"], known)
    return mcp_param_headers(found, params.get("arguments") or {}) if found else None
