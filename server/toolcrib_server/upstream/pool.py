"""The live connections to all servers: opened when needed, kept warm, repaired, closed when idle.

One task owns each connection, from opening to closing; no lock is held across a wait, so a server
that hangs or is dead delays nobody else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
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
    NotCallable,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import (
    CatalogTransport,
    JsonObject,
    Server,
    ServerName,
    StdioTransport,
)

from .connection import Connection, open_link, tell_of_list_changes
from .endpoint import check_url
from .failures import LinkFailure, LinkLost, Unanswered
from .link import LinkLimits
from .listing import Listing, read_listing
from .place import Place
from .references import LiveTransport, Resolved, Secrets, resolve
from .rpc import OnProgress
from .schemas import SchemaCheck
from .secrets import Redactor
from .slot import Attempt, ConnectionState, Slot, describe_slot
from .translation import translate

logger = logging.getLogger(__name__)

_SLACK_S = 5.0
_CLOSE_S = 15.0
_LONGEST_REAP_PAUSE_S = 15.0


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
    ) -> None:
        """Prepare a pool; nothing is opened before the first request.

        ``on_list_changed`` is told in the event loop and must not block.
        """
        self._secrets: Secrets = secrets or _NoSecrets()
        self._env = os.environ if env is None else env
        self._idle_timeout_s = idle_timeout_s
        self._list_timeout_s = list_timeout_s
        self._limits = LinkLimits(max_message_bytes=max_message_bytes, close_grace_s=close_grace_s)
        self._told = on_list_changed or _tell_nobody
        self._schemas = SchemaCheck()
        self._slots: dict[ServerName, Slot] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._reap)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        # Every owner closes its connection on the way out, all at once, in bounded time.
        self._tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            # It is not the group's: let it through as it is.
            await self._tasks.__aexit__(None, None, None)
            return None
        return await self._tasks.__aexit__(kind, error, trace)

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
        # It wants arguments mirrored in headers, and was not listed since it was registered.
        await self.list_all(server)
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

    async def list_all(self, server: Server) -> Listing:
        """List everything a server has, all pages; what is malformed is set aside.

        Credentials that the server was given are masked where it repeats them.

        Raises:
            UpstreamError: As `call_tool`.
            NotCallable: The server is a catalogue.
        """
        for is_last in (False, True):
            slot, connection = await self._connection(server)
            try:
                with anyio.fail_after(self._list_timeout_s):
                    listing = await read_listing(
                        partial(connection.request, timeout_s=self._list_timeout_s),
                        connection.greeting,
                        check=self._schemas,
                        redact=slot.redact_listing,
                    )
            except TimeoutError:
                raise UpstreamTimeout(server.name, "its lists", self._list_timeout_s) from None
            except LinkFailure as failure:
                if is_last or not _may_repeat(failure, safe=True):
                    raise translate(server.name, failure, slot.redact) from failure
            else:
                slot.note_listing(listing)
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
            slot, connection = await self._connection(server)
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
                return result
        raise AssertionError("the second turn returns or raises")

    # --- connections ---------------------------------------------------------------------------

    async def aclose_server(self, name: ServerName) -> None:
        """Close the connection to a server and forget its failures: the next request opens anew."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            with anyio.move_on_after(_CLOSE_S):
                await slot.retire()

    def states(self) -> tuple[ConnectionState, ...]:
        """Say how each connection stands, by server name."""
        return tuple(describe_slot(slot) for _, slot in sorted(self._slots.items()))

    async def _connection(self, server: Server) -> tuple[Slot, Connection]:
        """Find the live connection, or open one."""
        slot = self._slots.get(server.name)
        if slot is not None and (
            slot.server is server or slot.server.transport == server.transport
        ):
            connection = slot.find_live()
            if connection is not None:
                return slot, connection
        else:
            slot = self._place(server, slot)
        return slot, await self._open(slot, server)

    def _place(self, server: Server, old: Slot | None) -> Slot:
        if isinstance(server.transport, CatalogTransport):
            source = server.transport.source
            raise NotCallable(
                f"Server {server.name!r} was imported from {source}; register the live server to "
                "call its tools."
            )
        if old is not None:
            old.cancel_owners()
        slot = self._slots[server.name] = Slot(server)
        return slot

    async def _open(self, slot: Slot, server: Server) -> Connection:
        attempt = slot.attempt
        if attempt is None:
            wait_s = slot.waits_s
            if wait_s > 0:
                raise UpstreamUnavailable(
                    server.name, slot.last_error or "it was lost", retry_after_s=wait_s
                )
            if self._tasks is None:
                raise UpstreamUnavailable(server.name, "the pool is not open")
            slot.server = server
            attempt = slot.attempt = Attempt()
            self._tasks.start_soon(self._own, slot, attempt)
        # The attempt has its own deadline; this one is for the case that it breaks.
        with anyio.move_on_after(server.start_timeout_s + _SLACK_S):
            await attempt.done.wait()
        if attempt.connection is None:
            raise attempt.error or UpstreamTimeout(server.name, "start", server.start_timeout_s)
        return attempt.connection

    async def _own(self, slot: Slot, attempt: Attempt) -> None:
        """Open one connection, keep it, close it: all in this task."""
        with anyio.CancelScope() as scope:
            closed = slot.owners[scope] = anyio.Event()
            try:
                await self._open_and_hold(slot, attempt)
            except LinkFailure as failure:
                self._fail(slot, attempt, failure)
            except Exception:
                logger.exception("The connection to %s broke", slot.server.name)
                self._fail(slot, attempt, LinkLost("an error in Toolcrib; see its log"))
            finally:
                attempt.fail(UpstreamUnavailable(slot.server.name, "the connection was closed"))
                if slot.attempt is attempt:
                    slot.attempt = None
                del slot.owners[scope]
                closed.set()

    async def _open_and_hold(self, slot: Slot, attempt: Attempt) -> None:
        try:
            resolved = await anyio.to_thread.run_sync(self._resolve, slot.server)
        except InvalidConfig as error:
            slot.last_error = error.detail.rstrip(".")
            attempt.fail(UpstreamUnavailable(slot.server.name, slot.last_error))
            return
        slot.redact = Redactor(resolved.secrets)
        slot.redact_listing = Redactor(resolved.credentials)
        died_of = await self._hold(slot, attempt, resolved.transport)
        if died_of is not None and not slot.handshake_first:
            # Some old servers die of a method they do not know; they are not probed again.
            slot.handshake_first = True
            died_of = await self._hold(slot, attempt, resolved.transport)
            slot.handshake_first = died_of is None and slot.handshake_first
        if died_of is not None:
            self._fail(slot, attempt, died_of)

    async def _hold(
        self, slot: Slot, attempt: Attempt, transport: LiveTransport
    ) -> LinkLost | None:
        """Keep one connection; return what it died of when its process ended at the greeting."""
        server = slot.server
        tell = tell_of_list_changes(server.name, self._told)
        async with open_link(transport, limits=self._limits, on_notification=tell) as link:
            connection = Connection(server.name, link)
            try:
                await connection.greet(
                    timeout_s=server.start_timeout_s, handshake_first=slot.handshake_first
                )
            except (LinkFailure, TimeoutError) as failure:
                slot.last_tail = connection.describe().stderr_tail
                if isinstance(failure, LinkLost) and isinstance(transport, StdioTransport):
                    return failure
                self._fail(slot, attempt, failure)
                return None
            slot.take(connection)
            attempt.succeed(connection)
            try:
                reason = await connection.serve()
                slot.note_loss(connection, reason)
                logger.info("The connection to %s ended: %s", server.name, slot.last_error)
            finally:
                slot.drop(connection)
        return None

    def _resolve(self, server: Server) -> Resolved:
        resolved = resolve(server, env=self._env, secrets=self._secrets)
        url = getattr(resolved.transport, "url", None)
        if url is not None:
            check_url(url, Place(f"server {server.name!r}", "url"), resolved=True)
        return resolved

    def _fail(self, slot: Slot, attempt: Attempt, failure: LinkFailure | TimeoutError) -> None:
        server = slot.server
        if isinstance(failure, LinkFailure):
            error = translate(server.name, failure, slot.redact)
            retry_after_s = getattr(failure, "retry_after_s", None)
        else:
            error = UpstreamTimeout(server.name, "start", server.start_timeout_s)
            retry_after_s = None
        slot.note_failure(error, retry_after_s=retry_after_s)
        slot.attempt = None
        attempt.fail(error)

    async def _reap(self) -> None:
        """Close what has been idle for long."""
        pause_s = min(_LONGEST_REAP_PAUSE_S, self._idle_timeout_s / 4)
        while True:
            await anyio.sleep(pause_s)
            now = anyio.current_time()
            for slot in self._slots.values():
                connection = slot.connection
                if connection is None or connection.in_flight:
                    continue
                if now - connection.last_used > self._idle_timeout_s:
                    slot.drop(connection)
                    slot.cancel_owners()


class _NoSecrets:
    def find(self, key: str) -> str | None:  # there are none
        return None


def _tell_nobody(name: ServerName) -> None:
    """Do nothing: nobody asked to be told."""


def _may_repeat(failure: LinkFailure, *, safe: bool) -> bool:
    if isinstance(failure, LinkLost):
        return safe or not failure.delivered
    return isinstance(failure, Unanswered) and safe


def _param_headers(slot: Slot, method: str, params: Mapping[str, Any]) -> Mapping[str, str] | None:
    if not slot.header_maps or method != "tools/call":
        return None
    found = slot.header_maps.get(params["name"])
    return mcp_param_headers(found, params.get("arguments") or {}) if found else None
