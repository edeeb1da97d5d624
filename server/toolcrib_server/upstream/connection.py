"""One live connection: talked to by many callers at once, closed by the task that opened it.

Callers send on the link from their own tasks: a call crosses no queue and starts no task.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from toolcrib_registry.errors import UpstreamTimeout
from toolcrib_registry.types import HttpTransport, ServerName, SseTransport, StdioTransport

from .era import Envelope, Greeting, Negotiation
from .failures import LinkFailure, RpcFailure
from .http import open_http
from .link import Link, LinkLimits, LinkState, OnNotification
from .references import LiveTransport
from .rpc import METHOD_NOT_FOUND, OnProgress
from .sse import open_sse
from .stdio import open_stdio

logger = logging.getLogger(__name__)

_PROBE_S = 10.0
_SILENT_TIMEOUTS = 3
"""After so many timeouts without one answer between, the server is taken for hung."""
_LISTEN_AGAIN_S = (5.0, 60.0)
_DRAIN_S = 30.0
_LISTS = {"tools": "toolsListChanged", "prompts": "promptsListChanged"}
_LISTS["resources"] = "resourcesListChanged"


def open_link(
    transport: LiveTransport, *, limits: LinkLimits, on_notification: OnNotification
) -> AbstractAsyncContextManager[Link]:
    """Open the link that a transport asks for.

    Raises:
        LinkFailure: It cannot be opened.
    """
    match transport:
        case StdioTransport():
            return open_stdio(transport, limits=limits, on_notification=on_notification)
        case HttpTransport():
            return open_http(transport, limits=limits, on_notification=on_notification)
        case SseTransport():
            return open_sse(transport, limits=limits, on_notification=on_notification)


class Connection:
    """A connection that has been greeted. Use `greet`."""

    def __init__(self, server: ServerName, link: Link) -> None:
        self._server = server
        self._link = link
        self._ids = itertools.count(1)
        self._timeouts = 0
        self._envelope = Envelope("")
        self.greeting = Greeting(protocol_version="")
        self.in_flight = 0
        self.last_used = anyio.current_time()

    @property
    def is_lost(self) -> bool:
        """Whether it can no longer be used."""
        return self._link.is_lost

    def describe(self) -> LinkState:
        """Say how the link fares, for a person."""
        return self._link.describe()

    async def greet(self, *, timeout_s: float, handshake_first: bool) -> None:
        """Negotiate the protocol version.

        Raises:
            LinkFailure: The server cannot be talked to.
            TimeoutError: It did not answer in time.
        """
        with anyio.fail_after(timeout_s):
            await self._link.wait_ready()
            negotiation = Negotiation(
                self._link,
                self._ids.__next__,
                probe_timeout_s=min(_PROBE_S, timeout_s / 2),
            )
            self.greeting = await negotiation.greet(handshake_first=handshake_first)
        self._envelope = Envelope(self.greeting.protocol_version)
        self.last_used = anyio.current_time()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout_s: float,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its raw result.

        Raises:
            UpstreamTimeout: It took longer; it has been cancelled and the connection can be used.
            LinkFailure: There is no result; the class says why.
        """
        call_id = next(self._ids)
        full, fields = self._envelope.wrap(
            method, params, meta=meta, progress_token=call_id if on_progress else None
        )
        self.in_flight += 1
        try:
            with anyio.fail_after(timeout_s):
                result = await self._link.request(
                    call_id,
                    method,
                    full,
                    headers={**fields, **headers} if headers else fields,
                    on_progress=on_progress,
                )
        except TimeoutError:
            self._count_silence()
            raise UpstreamTimeout(self._server, method, timeout_s) from None
        except RpcFailure:
            self._timeouts = 0
            raise
        finally:
            self.in_flight -= 1
            self.last_used = anyio.current_time()
        self._timeouts = 0
        return result

    def _count_silence(self) -> None:
        self._timeouts += 1
        if self._timeouts >= _SILENT_TIMEOUTS:
            self._link.lose(f"it let {self._timeouts} requests in a row time out")

    async def serve(self) -> str:
        """Keep the connection until it is lost; return the reason. Cancel to close it."""
        reason = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self._listen)
            reason = await self._link.wait_lost()
            tasks.cancel_scope.cancel()
        # Requests that are still being answered are let finish; new ones go to another connection.
        with anyio.move_on_after(_DRAIN_S):
            while self.in_flight:  # noqa: ASYNC110  # rare, and any of many may be the last
                await anyio.sleep(0.05)
        return reason

    async def _follow(self) -> None:
        await self._link.follow(headers=self._envelope.headers)

    async def _listen(self) -> None:
        """Subscribe to changes of the lists (2026-07-28); before, servers just send them."""
        wanted = {key: True for kind, key in _LISTS.items() if self._announces(kind)}
        if not self.greeting.is_modern or not wanted:
            return
        shortest, longest = _LISTEN_AGAIN_S
        pause_s = shortest
        while True:
            full, headers = self._envelope.wrap("subscriptions/listen", {"notifications": wanted})
            try:
                await self._link.request(
                    next(self._ids),
                    "subscriptions/listen",
                    full,
                    headers=headers,
                    on_progress=None,
                )
            except RpcFailure as failure:
                if failure.code == METHOD_NOT_FOUND:
                    return
            except LinkFailure as failure:
                logger.debug("Listening to %s ended: %s", self._server, failure.reason)
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest)

    def _announces(self, kind: str) -> bool:
        capability = self.greeting.capabilities.get(kind)
        return isinstance(capability, dict) and bool(capability.get("listChanged"))  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType]  # decoded JSON


def tell_of_list_changes(server: ServerName, told: Callable[[ServerName], None]) -> OnNotification:
    """Make the handler that passes on only that a list of ``server`` changed."""

    def on_notification(method: str, params: Mapping[str, Any]) -> None:  # the list is read anew
        if method.endswith("/list_changed"):
            try:
                told(server)
            except Exception:
                logger.exception("Nobody could be told that a list of %s changed", server)

    return on_notification
