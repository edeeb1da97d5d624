"""One live connection: talked to by many callers at once, closed by the task that opened it.

Callers send on the link from their own tasks: a call crosses no queue and starts no task.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio

from toolcrib_registry.errors import UpstreamTimeout
from toolcrib_registry.types import HttpTransport, ServerName, SseTransport, StdioTransport

from .backoff import Backoff
from .era import Envelope, Greeting, Negotiation, read_discovery
from .failures import BadAnswer, LinkFailure, RpcFailure
from .hearing import LIST_CHANGES, Attention, Hearing, announced_changes
from .http import open_http
from .link import LISTEN, Link, LinkLimits, LinkState, OnNotification
from .references import LiveTransport
from .rpc import METHOD_NOT_FOUND, OnProgress
from .sse import open_sse
from .stdio import open_stdio

logger = logging.getLogger(__name__)

_PROBE_S = 10.0
_SILENT_TIMEOUTS = 3
"""After so many timeouts without one answer between, the server is taken for hung."""
_STEADY_S = 60.0
"""A stream that held for so long was sound; the pause after its end is the shortest again."""
_REFUSALS = 5
"""After so many attempts in a row without an agreement, a server is polled instead."""
_DRAIN_S = 30.0


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

    def __init__(
        self, server: ServerName, link: Link, hearing: Hearing, attention: Attention
    ) -> None:
        self._server = server
        self._link = link
        self._attention = attention
        self.hearing = hearing
        self._ids = itertools.count(1)
        self._timeouts = 0
        self._envelope = Envelope("")
        self.greeting = Greeting(protocol_version="")
        self.in_flight = 0
        self.greeted_at = self.last_used = anyio.current_time()

    @property
    def is_lost(self) -> bool:
        """Whether it can no longer be used."""
        return self._link.is_lost

    @property
    def announced(self) -> frozenset[str]:
        """The lists of which the server announces changes."""
        return announced_changes(self.greeting.capabilities)

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
            greeting = await negotiation.greet(handshake_first=handshake_first)
        self.adopt(greeting)

    def adopt(self, greeting: Greeting) -> None:
        """Speak as a greeting says, be it of this connection or of one before."""
        self.greeting = greeting
        self._envelope = Envelope(greeting.protocol_version)
        self.greeted_at = self.last_used = anyio.current_time()

    async def keep_greeting_fresh(self, *, timeout_s: float) -> None:
        """Ask a 2026-07-28 server again what it offers, if that was long ago.

        Raises:
            LinkFailure: It gives no such answer any more.
            UpstreamTimeout: It does not answer.
        """
        again_s = self._attention.greet_again_s
        if self.greeting.is_modern and anyio.current_time() - self.greeted_at > again_s:
            self.greeted_at = anyio.current_time()
            result = await self.request("server/discover", {}, timeout_s=timeout_s)
            self.adopt(read_discovery(result))

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

    async def serve(self, *, listen: bool) -> str:
        """Keep the connection until it is lost; return the reason. Cancel to close it.

        ``listen`` asks the server to tell of changes; what it says anyway is heard without.
        """
        reason = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear, listen)
            reason = await self._link.wait_lost()
            tasks.cancel_scope.cancel()
        # Requests that are still being answered are let finish; new ones go to another connection.
        with anyio.move_on_after(_DRAIN_S):
            while self.in_flight:  # noqa: ASYNC110  # rare, and any of many may be the last
                await anyio.sleep(0.05)
        return reason

    async def _hear(self, listen: bool) -> None:  # noqa: FBT001  # the argument of a task
        if not self.greeting.is_modern:
            kinds = self.announced if listen else frozenset[str]()
            up = partial(self.hearing.came_up, kinds)
            await self._link.follow(headers=self._envelope.headers, on_up=up)
        elif listen:
            await self._keep_subscribed()
        self.hearing.give_up()

    async def _keep_subscribed(self) -> None:
        """Subscribe, and again whenever that ends, unless the server will have none of it."""
        backoff, refusals = Backoff(*self._attention.again_s), 0
        while self.announced and refusals < _REFUSALS:
            started, before = anyio.current_time(), self.hearing.agreements
            try:
                await self._subscribe()
            except (RpcFailure, BadAnswer) as failure:
                if isinstance(failure, RpcFailure) and failure.code == METHOD_NOT_FOUND:
                    return
                refusals += 1
            except LinkFailure as failure:
                logger.debug("Listening to %s ended: %s", self._server, failure.reason)
            self.hearing.went_down()
            if self.hearing.agreements > before:
                refusals = 0
                if anyio.current_time() - started > _STEADY_S:
                    backoff.reset()
            await anyio.sleep(backoff.next_s())

    async def _subscribe(self) -> None:
        """Listen until the stream ends.

        Raises:
            LinkFailure: It did not end as the specification wants it to.
        """
        wanted = {LIST_CHANGES[kind]: True for kind in sorted(self.announced)}
        full, headers = self._envelope.wrap(LISTEN, {"notifications": wanted})
        await self._link.request(next(self._ids), LISTEN, full, headers=headers, on_progress=None)
