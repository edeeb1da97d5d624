"""One live connection: talked to by many callers at once, closed by the task that opened it.

Callers send on the link from their own tasks: a call crosses no queue and starts no task.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

import anyio
from mcp_types.jsonrpc import UNSUPPORTED_PROTOCOL_VERSION

from toolcrib_registry.errors import UpstreamTimeout
from toolcrib_registry.types import (
    HttpTransport,
    JsonObject,
    ServerName,
    SseTransport,
    StdioTransport,
)
from toolcrib_server.upstream.config.references import LiveTransport
from toolcrib_server.upstream.failures import LinkLost, RpcFailure, Unanswered
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages.audience import Audience
from toolcrib_server.upstream.messages.clock import Clock
from toolcrib_server.upstream.messages.dialogue import Dialogue
from toolcrib_server.upstream.messages.hearing import Attention, announced_changes
from toolcrib_server.upstream.messages.incoming import Outside
from toolcrib_server.upstream.messages.interaction import (
    ALONE,
    SHARED,
    Interaction,
    OnNotice,
    Profile,
)
from toolcrib_server.upstream.oauth.authorizer import Authorizer
from toolcrib_server.upstream.processes.stderr_log import StderrWriter
from toolcrib_server.upstream.transports.http import open_http
from toolcrib_server.upstream.transports.link import LISTEN, Link, LinkState
from toolcrib_server.upstream.transports.sse import open_sse
from toolcrib_server.upstream.transports.stdio import open_stdio

from .attendance import Attendance
from .era import Envelope, Greeting, Negotiation, read_discovery

logger = logging.getLogger(__name__)

_OTHER_VERSION = "no longer speaks the protocol version that was agreed on"
_PROBE_S = 10.0
_SILENT_TIMEOUTS = 3
"""After so many timeouts without one answer between, the server is taken for hung."""
_DRAIN_S = 30.0
_SUBSCRIBE_S = 30.0
_LEVEL_S = 10.0
_MOST_LISTENERS = 128
"""Over HTTP each has a stream, and there are only so many."""


def open_link(
    transport: LiveTransport,
    *,
    limits: LinkLimits,
    outside: Outside,
    authorizer: Authorizer | None = None,
    log: StderrWriter | None = None,
) -> AbstractAsyncContextManager[Link]:
    """Open the link that a transport asks for.

    Raises:
        LinkFailure: It cannot be opened.
    """
    match transport:
        case StdioTransport():
            return open_stdio(transport, limits=limits, outside=outside, log=log)
        case HttpTransport():
            return open_http(transport, limits=limits, outside=outside, authorizer=authorizer)
        case SseTransport():
            return open_sse(transport, limits=limits, outside=outside, authorizer=authorizer)


class _Send(Protocol):
    """Sends one request."""

    async def __call__(self, *, dialogue: Dialogue) -> dict[str, Any]: ...


class Connection:
    """A connection that has been greeted. Use `greet`."""

    def __init__(
        self, server: ServerName, link: Link, audience: Audience, attention: Attention
    ) -> None:
        self._server = server
        self._link = link
        self._attention = attention
        self._audience = audience
        self._turns = anyio.Lock()
        self._listeners: set[anyio.CancelScope] = set()
        self._log_level: str | None = None
        self.hearing = audience.hearing
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

    def lose(self, reason: str) -> None:
        """Give it up: its requests fail with this reason."""
        self._link.lose(reason)

    async def greet(
        self, *, timeout_s: float, handshake_first: bool, profile: Profile = SHARED
    ) -> None:
        """Negotiate the protocol version, for whoever has the ``profile``.

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
                profile=profile,
            )
            self.adopt(await negotiation.greet(handshake_first=handshake_first))
        if not self.greeting.is_modern:
            self._audience.subscribe_by(partial(self.request, timeout_s=_SUBSCRIBE_S))
        await self.belong_to(profile)

    async def belong_to(self, profile: Profile) -> None:
        """Hand what is about no request to this client, and see that it is told what it wants.

        Raises:
            LinkFailure: The connection was lost.
        """
        self._audience.belong_to(profile)
        level = profile.log_level
        is_known = level is None or level == self._log_level
        if is_known or self.greeting.is_modern or "logging" not in self.greeting.capabilities:
            return
        self._log_level = level
        try:
            await self.request("logging/setLevel", {"level": level}, timeout_s=_LEVEL_S)
        except (RpcFailure, UpstreamTimeout) as failure:
            logger.debug("%s refuses the log level %s: %s", self._server, level, failure)

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
        interaction: Interaction = ALONE,
    ) -> dict[str, Any]:
        """Send a request and return its raw result.

        Raises:
            UpstreamTimeout: It took longer; it has been cancelled and the connection can be used.
            LinkFailure: There is no result; the class says why. A connection whose version the
                server refuses all at once is lost.
        """
        call_id = next(self._ids)
        full, fields = self._envelope.wrap(
            method,
            params,
            meta=meta,
            progress_token=None if interaction.on_notice is None else call_id,
            profile=interaction.profile,
        )
        if headers:
            fields = {**fields, **headers}
        self.in_flight += 1
        try:
            with anyio.fail_after(timeout_s) as scope:
                if interaction.on_notice is None and interaction.on_ask is None:
                    result = await self._link.request(call_id, method, full, headers=fields)
                else:
                    send = partial(self._link.request, call_id, method, full, headers=fields)
                    result = await self._converse(send, interaction, Clock(scope))
        except TimeoutError:
            self._count_silence()
            raise UpstreamTimeout(self._server, method, timeout_s) from None
        except RpcFailure as failure:
            self._timeouts = 0
            if failure.code == UNSUPPORTED_PROTOCOL_VERSION:
                # It was agreed on, so another server stands there now; it has done nothing.
                self._link.lose(_OTHER_VERSION)
                raise LinkLost(_OTHER_VERSION, delivered=False) from failure
            raise
        finally:
            self.in_flight -= 1
            self.last_used = anyio.current_time()
        self._timeouts = 0
        return result

    async def _converse(
        self, send: _Send, interaction: Interaction, clock: Clock
    ) -> dict[str, Any]:
        """Send a request on the way to whose answer the server may say and ask more."""
        is_modern, profile = self.greeting.is_modern, interaction.profile
        # One of 2026-07-28 tells only who asked for it; nothing else may say whose a message is.
        hears_logs = interaction.on_notice is not None and (
            not is_modern or profile.log_level is not None
        )
        async with Dialogue(
            interaction,
            self._audience.questions,
            key=profile.key,
            clock=clock,
            hears_logs=hears_logs,
        ) as dialogue:
            async with self._turn(clock) if self._takes_turns(interaction) else nullcontext():
                result = await send(dialogue=dialogue)
            await dialogue.finish()
            return result

    def _takes_turns(self, interaction: Interaction) -> bool:
        """Whether a question must leave no doubt about the request to which it belongs.

        It need not where the connection is one client's that can be asked outside of requests too.
        """
        if interaction.on_ask is None or self.greeting.is_modern or not self._link.is_one_channel:
            return False
        return not (interaction.profile.key and interaction.profile.on_ask)

    @asynccontextmanager
    async def _turn(self, clock: Clock) -> AsyncGenerator[None]:
        with clock.resting(), anyio.move_on_after(self._attention.turn_s) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Unanswered(
                "takes one call at a time that may ask somebody something, and another one waits "
                "for an answer; answer that first, or call again"
            )
        try:
            yield
        finally:
            self._turns.release()

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell a server of the handshake era something; one of 2026-07-28 is told nothing.

        Raises:
            LinkFailure: It cannot be told.
        """
        if not self.greeting.is_modern:
            await self._link.notify(method, params, headers=self._envelope.headers)

    async def listen(self, wanted: JsonObject, on_notice: OnNotice, *, profile: Profile) -> None:
        """Tell of changes until the server ends that; the first notice says what was agreed.

        Raises:
            LinkFailure: It does not agree, or the connection was lost.
            UpstreamTimeout: It does not answer.
        """
        if len(self._listeners) >= _MOST_LISTENERS and not self._link.is_one_channel:
            raise Unanswered(f"has {_MOST_LISTENERS} listeners, as many as leave room for calls")
        hearer = Interaction(profile=profile, on_notice=on_notice)
        with anyio.CancelScope() as scope:
            self._listeners.add(scope)
            try:
                async with Dialogue(hearer, self._audience.questions, listens=True) as dialogue:
                    await self._listen(wanted, dialogue, profile)
                    await dialogue.finish()
            finally:
                self._listeners.discard(scope)
        if scope.cancelled_caught:
            raise LinkLost("the connection was lost")

    async def _listen(self, wanted: JsonObject, dialogue: Dialogue, profile: Profile) -> None:
        subscriptions = self._audience.subscriptions
        if subscriptions is None:
            await self._open_stream(wanted, dialogue, profile)
            return
        # What changes once it was agreed to tell of it must be heard.
        await self.hearing.settle(self._attention.agree_s)
        listener = await subscriptions.join(dialogue, wanted, self.greeting.capabilities)
        try:
            await anyio.sleep_forever()
        finally:
            await subscriptions.leave(listener)

    async def _open_stream(
        self, wanted: JsonObject, dialogue: Dialogue, profile: Profile = SHARED
    ) -> None:
        """Listen until the stream ends.

        Raises:
            LinkFailure: It did not end as the specification wants it to.
        """
        full, fields = self._envelope.wrap(LISTEN, {"notifications": wanted}, profile=profile)
        call_id = next(self._ids)
        await self._link.request(call_id, LISTEN, full, headers=fields, dialogue=dialogue)

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
            try:
                reason = await self._link.wait_lost()
            finally:
                self._dismiss()
            tasks.cancel_scope.cancel()
        # Requests that are still being answered are let finish; new ones go to another connection.
        with anyio.move_on_after(_DRAIN_S):
            while self.in_flight:  # noqa: ASYNC110  # rare, and any of many may be the last
                await anyio.sleep(0.05)
        return reason

    def _dismiss(self) -> None:
        """Let everybody who listens know that it is over."""
        if self._audience.subscriptions is not None:
            self._audience.subscriptions.is_over = True
        for listener in self._listeners:
            listener.cancel()

    async def _hear(self, listen: bool) -> None:  # noqa: FBT001  # the argument of a task
        if not self.greeting.is_modern:
            kinds = self.announced if listen else frozenset[str]()
            up = partial(self.hearing.came_up, kinds)
            await self._link.follow(headers=self._envelope.headers, on_up=up)
        elif listen:
            attendance = Attendance(self._server, self.hearing, self._attention)
            await attendance.keep(self._attend, announced=lambda: self.announced)
        self.hearing.give_up()

    async def _attend(self, wanted: JsonObject) -> None:
        """Listen for our own sake until the stream ends.

        Raises:
            LinkFailure: It did not end as the specification wants it to.
        """
        hearer = Interaction(on_notice=self.hearing.hear)
        async with Dialogue(hearer, self._audience.questions, listens=True) as dialogue:
            await self._open_stream(wanted, dialogue)
