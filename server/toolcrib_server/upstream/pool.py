"""The one way to every upstream server: requests, and everything that a server lists.

Requests go over connections that are opened when needed. Lists are read in full, or, where that is
cheaper, seen at a glance to be as they were.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
import anyio.to_thread
from mcp.shared.inbound import mcp_param_headers
from mcp_types import HEADER_MISMATCH

from toolcrib_registry.errors import (
    InvalidConfig,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import HttpTransport, JsonObject, Server, ServerName

from .failures import LinkFailure, LinkLost, Unanswered
from .glance import Glance
from .hearing import Attention, announced_changes
from .link import LinkLimits
from .listing import Listing, read_listing
from .references import Secrets
from .rpc import OnProgress
from .schemas import SchemaCheck
from .slot import ConnectionState, Slot
from .switchboard import Capacity, Switchboard
from .translation import translate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Open:
    """What an open pool works with."""

    tasks: anyio.abc.TaskGroup
    board: Switchboard
    glance: Glance


class ConnectionPool:
    """Reaches every upstream server. An async context manager; leaving it leaves no process."""

    def __init__(
        self,
        *,
        secrets: Secrets | None = None,
        env: Mapping[str, str] | None = None,
        idle_timeout_s: float = 600.0,
        list_timeout_s: float = 60.0,
        max_message_bytes: int = 8 * 1024 * 1024,
        close_grace_s: float = 2.0,
        on_list_changed: Callable[[ServerName], None] | None = None,
        attention: Attention | None = None,
        max_warm: int = 64,
    ) -> None:
        """Prepare a pool; nothing is opened before the first request.

        ``on_list_changed`` is told in the event loop and must not block: a list may have changed,
        or a change may have been missed. Servers beyond those that ``attention`` allows to be
        listened to have to be polled. A connection that was opened for a listing alone is kept
        only while fewer than ``max_warm`` others are.
        """
        self._secrets: Secrets = secrets or _NoSecrets()
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
        self._capacity = Capacity(idle_timeout_s=idle_timeout_s, warm=max_warm)
        self._schemas = SchemaCheck()
        self._unlisted: set[ServerName] = set()
        """Servers whose last listing failed."""
        self._open: _Open | None = None

    async def __aenter__(self) -> Self:
        tasks = await anyio.create_task_group().__aenter__()
        board = Switchboard(
            tasks,
            secrets=self._secrets,
            env=self._env,
            limits=self._limits,
            capacity=self._capacity,
            attention=self._attention,
            tell=self._tell,
        )
        glance = Glance(tasks, limits=self._limits, attention=self._attention)
        tasks.start_soon(board.reap)
        self._open = _Open(tasks, board, glance)
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
        if isinstance(error, Exception):
            # It is not the group's: let it through as it is.
            await tasks.__aexit__(None, None, None)
            return None
        return await tasks.__aexit__(kind, error, trace)

    # --- requests ------------------------------------------------------------------------------

    async def call_tool(
        self,
        server: Server,
        local_name: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Call a tool by the name its server gives it; return the raw result object.

        Opening the connection, where that is needed, has its own deadline (``start_timeout_s``).
        A call is sent a second time only if the first was provably not delivered.

        Raises:
            UpstreamUnavailable: The server cannot be reached.
            UpstreamTimeout: It did not start, or did not answer, in time.
            UpstreamProtocolError: It answered with an error, or with something that is not MCP.
            ResultTooLarge: It answered with more than the limit.
            NotCallable: The server is a catalogue.
        """
        params = {"name": local_name, "arguments": arguments}
        try:
            return await self._request(
                server,
                "tools/call",
                params,
                timeout_s=timeout_s,
                meta=meta,
                on_progress=on_progress,
                safe=False,
            )
        except UpstreamProtocolError as error:
            if error.rpc_code != HEADER_MISMATCH:
                raise
        # It wants arguments mirrored in headers: it changed, or was not listed by this process.
        await self.list_all(server)
        self._tell(server.name)
        return await self._request(
            server,
            "tools/call",
            params,
            timeout_s=timeout_s,
            meta=meta,
            on_progress=on_progress,
            safe=False,
        )

    async def request(
        self,
        server: Server,
        method: str,
        params: JsonObject,
        *,
        timeout_s: float,
        safe: bool = False,
        meta: JsonObject | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send any other request; ``safe`` says that sending it twice does no harm.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        return await self._request(
            server,
            method,
            params,
            timeout_s=timeout_s,
            meta=meta,
            on_progress=on_progress,
            safe=safe,
        )

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        """List everything a server has, all pages; what is malformed is set aside.

        Credentials that the server was given are masked where it repeats them. If all is as when
        ``known_digest`` was made, the listing says that it is ``unchanged``, and holds no entries.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        try:
            listing = None if known_digest is None else await self._look(server, known_digest)
            if listing is None:
                listing = await self._list(server, known_digest)
        except UpstreamError:
            self._unlisted.add(server.name)
            raise
        self._unlisted.discard(server.name)
        return listing

    async def _look(self, server: Server, known_digest: str) -> Listing | None:
        """See whether all is as it was without a connection of its own; None: not to be told so."""
        parts = self._opened(server.name)
        if not parts.board.is_at_rest(server.name) or not parts.glance.knows(server):
            return None
        if parts.board.may_listen(announced_changes(server.health.capabilities or {})):
            return None  # there is room to hear of its changes, over a connection that stays
        try:
            transport = await self._plain_transport(server)
        except InvalidConfig:
            return None  # told by the opening of a connection
        return await parts.glance.look(
            server, transport, known_digest, timeout_s=self._list_timeout_s
        )

    async def _plain_transport(self, server: Server) -> HttpTransport:
        transport = server.transport
        assert isinstance(transport, HttpTransport)
        if not any("${" in value for value in (transport.url, *transport.headers.values())):
            return transport  # nothing to fill in: no other thread is needed
        resolved = await anyio.to_thread.run_sync(self._opened(server.name).board.resolve, server)
        assert isinstance(resolved.transport, HttpTransport)
        return resolved.transport

    async def _list(self, server: Server, known_digest: str | None) -> Listing:
        board = self._opened(server.name).board
        for is_last in (False, True):
            slot, connection = await board.connect(server)
            if board.is_listening(connection):
                await connection.hearing.settle(self._attention.agree_s)
            try:
                with anyio.fail_after(self._list_timeout_s):
                    await connection.keep_greeting_fresh(timeout_s=self._list_timeout_s)
                    listing = await read_listing(
                        partial(connection.request, timeout_s=self._list_timeout_s),
                        connection.greeting,
                        check=self._schemas,
                        redact=slot.redact_listing,
                        known_digest=known_digest,
                    )
            except TimeoutError:
                raise UpstreamTimeout(server.name, "its lists", self._list_timeout_s) from None
            except LinkFailure as failure:
                if is_last or not _may_repeat(failure, safe=True):
                    raise translate(server.name, failure, slot.redact) from failure
            else:
                slot.note_listing(listing)
                self._opened(server.name).glance.note_greeting(server.name, connection.greeted_at)
                board.let_go(slot, connection)
                return listing
        raise AssertionError("the second turn returns or raises")

    async def _request(
        self,
        server: Server,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout_s: float,
        safe: bool,
        meta: JsonObject | None,
        on_progress: OnProgress | None,
    ) -> dict[str, Any]:
        for is_last in (False, True):
            slot, connection = await self._opened(server.name).board.connect(server)
            slot.is_called = True
            try:
                result = await connection.request(
                    method,
                    params,
                    timeout_s=timeout_s,
                    meta=meta,
                    headers=_param_headers(slot, method, params),
                    on_progress=on_progress,
                )
            except LinkFailure as failure:
                if is_last or not _may_repeat(failure, safe=safe):
                    raise translate(server.name, failure, slot.redact) from failure
            else:
                slot.failures = 0
                self._note_answer(server.name)
                return result
        raise AssertionError("the second turn returns or raises")

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
        """Close the connection to a server and forget its failures: the next request opens anew."""
        self._unlisted.discard(name)
        if self._open is not None:
            self._open.glance.forget(name)
            await self._open.board.aclose_server(name)

    def states(self) -> tuple[ConnectionState, ...]:
        """Say how each connection stands, by server name."""
        return () if self._open is None else self._open.board.states()

    def _opened(self, name: ServerName) -> _Open:
        if self._open is None:
            raise UpstreamUnavailable(name, "the pool is not open")
        return self._open


class _NoSecrets:
    def find(self, key: str) -> str | None:  # there are none
        return None


def _may_repeat(failure: LinkFailure, *, safe: bool) -> bool:
    if isinstance(failure, LinkLost):
        return safe or not failure.delivered
    return isinstance(failure, Unanswered) and safe


def _param_headers(slot: Slot, method: str, params: Mapping[str, Any]) -> Mapping[str, str] | None:
    if not slot.header_maps or method != "tools/call":
        return None
    found = slot.header_maps.get(params["name"])
    return mcp_param_headers(found, params.get("arguments") or {}) if found else None
