"""The Streamable HTTP transport, of both eras: every request is a POST with its own answer.

Written over httpcore2 rather than the SDK's client: there, one failed POST ends every other request
of the connection, a status becomes a generic error, and a call costs twice the processor time.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from toolcrib_registry.types import HttpTransport
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.upstream.backoff import Backoff
from toolcrib_server.upstream.failures import (
    BadAnswer,
    LinkFailure,
    LinkLost,
    RpcFailure,
    Unanswered,
    Unauthorized,
    Unrelayable,
)
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages import rpc
from toolcrib_server.upstream.messages.decoding import decode
from toolcrib_server.upstream.messages.dialogue import Dialogue
from toolcrib_server.upstream.messages.incoming import Incoming, Outside
from toolcrib_server.upstream.network.endpoint_client import EndpointClient, Reply
from toolcrib_server.upstream.network.events import EventParser, ServerEvent
from toolcrib_server.upstream.oauth.authorized import client_of
from toolcrib_server.upstream.oauth.authorizer import Authorizer

from .link import LISTEN, LinkState, OnUp
from .loss import Loss

VERSION_HEADER = "mcp-protocol-version"
_SESSION_HEADER = "mcp-session-id"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_WRONG_PLACE = '; check the URL, and if it speaks HTTP+SSE, say so ("type": "sse", or --sse)'
_RESUMES = 3
_STEADY_S = 60.0
"""A stream that held for so long was sound; the pause after its end is the shortest again."""
_DEFAULT_RETRY_MS = 1000
_LONGEST_RETRY_MS = 30_000
_OK = 200
_ASIDE_S = 2.0
"""What a message that nobody waits for may take: a cancellation, a pong, the goodbye."""
_ANSWER_S = 30.0
"""What the answer to a server's request may take to be sent."""


class HttpLink:
    """A link to an MCP endpoint. Use `open_http`."""

    is_one_channel = False

    def __init__(self, client: EndpointClient, *, limits: LinkLimits, outside: Outside) -> None:
        self._client = client
        self._limits = limits
        self._incoming = Incoming(outside, by_streams=True)
        self._session: str | None = None
        self._version: dict[str, str] = {}
        self._loss = Loss()
        self._noise = 0
        self._has_followed = False

    @property
    def is_lost(self) -> bool:
        """Whether the session is gone."""
        return self._loss.failure is not None

    async def wait_lost(self) -> str:
        """Wait until the session is gone; return the reason."""
        return await self._loss.wait()

    def describe(self) -> LinkState:
        """Say how the link fares, for a person."""
        return LinkState(noise=self._noise)

    async def wait_ready(self) -> None:
        """Return at once: requests can be sent from the start."""

    async def request(
        self,
        call_id: int,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str],
        dialogue: Dialogue | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its result; when cancelled, cancel it at the server too.

        Raises:
            LinkFailure: There is no result; the class says why.
        """
        self._loss.refuse()
        message = rpc.request(call_id, method, params)
        try:
            quiet_s = self._limits.quiet_s if method == LISTEN else None
            with self._incoming.expecting(call_id, dialogue):
                async with self._post(message, headers, quiet_s=quiet_s) as reply:
                    if method == "initialize":
                        self._session = reply.headers.get(_SESSION_HEADER)
                    return await self._read_answer(reply, call_id, dialogue, quiet_s=quiet_s)
        except LinkLost as lost:
            if method != LISTEN:  # it is tried again, and nobody waits for it
                self.lose(lost.reason)
            raise
        except anyio.get_cancelled_exc_class():
            # Since 2026-07-28 closing the stream is the cancellation; before, it is not.
            old = headers.get(VERSION_HEADER) not in MODERN_PROTOCOL_VERSIONS
            if old and method != "initialize":
                with anyio.CancelScope(shield=True):
                    await self._tell(rpc.cancellation(call_id))
            raise

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str],
    ) -> None:
        """Send a notification.

        Raises:
            LinkFailure: It could not be sent.
        """
        self._version = dict(headers)  # the first ends the handshake, which has settled it
        async with self._post(rpc.notification(method, params), headers) as reply:
            await self._refuse_error(reply)

    async def follow(self, *, headers: Mapping[str, str], on_up: OnUp) -> None:
        """Listen on the GET stream of a handshake session, which not every server offers."""
        self._version = dict(headers)
        if self._session is None:
            return
        parser = EventParser(self._limits.max_event_bytes)
        backoff = Backoff(*self._limits.again_s)
        while not self.is_lost:
            started = anyio.current_time()
            with contextlib.suppress(LinkFailure):
                if not await self._follow_once(parser, on_up):
                    return
            if anyio.current_time() - started > _STEADY_S:
                backoff.reset()
            await anyio.sleep(max(backoff.next_s(), _retry_s(parser)))

    async def _follow_once(self, parser: EventParser, on_up: OnUp) -> bool:
        """Read one stream to its end; return False if the server offers none.

        Raises:
            LinkFailure: There is none just now.
        """
        parser.begin()
        async with self._get(parser, quiet_s=self._limits.quiet_s) as reply:
            if reply.status != _OK or not _is_event_stream(reply):
                if self._has_followed:
                    await self._refuse_error(reply)
                return False
            self._has_followed = True
            # Streams with ids are resumed: the server sends what was said meanwhile.
            on_up(missed=parser.last_id is None)
            async for event in _events(reply, parser):
                await self._take(event, None, None)
        return True

    async def say_goodbye(self) -> None:
        """End the session at the server; a server that does not care is not waited for."""
        if self._session is not None and not self.is_lost:
            with anyio.move_on_after(_ASIDE_S, shield=True), contextlib.suppress(LinkFailure):
                async with self._client.send("DELETE", b"", self._common()) as reply:
                    await reply.read(self._limits.max_message_bytes)
        self.lose("the connection was closed")

    def lose(self, reason: str) -> None:
        """Give the link up: it is of no use any more."""
        self._loss.note(LinkLost(reason))

    def _common(self) -> dict[str, str]:
        session = {_SESSION_HEADER: self._session} if self._session else {}
        return {**self._version, **session}

    def _post(
        self,
        message: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        quiet_s: float | None = None,
    ) -> contextlib.AbstractAsyncContextManager[Reply]:
        fields = {**ACCEPT, **headers}
        if self._session is not None:
            fields[_SESSION_HEADER] = self._session
        return self._client.send("POST", encode(message), fields, read_timeout_s=quiet_s)

    def _get(
        self, parser: EventParser, *, quiet_s: float | None = None
    ) -> contextlib.AbstractAsyncContextManager[Reply]:
        resume = {"last-event-id": parser.last_id} if parser.last_id else {}
        accept = {"accept": "text/event-stream", "cache-control": "no-store"}
        fields = {**accept, **self._common(), **resume}
        return self._client.send("GET", None, fields, read_timeout_s=quiet_s)

    async def _read_answer(
        self,
        reply: Reply,
        call_id: int,
        dialogue: Dialogue | None,
        *,
        quiet_s: float | None,
    ) -> dict[str, Any]:
        if reply.status >= 300:  # noqa: PLR2004  # anything but success
            await self._refuse_error(reply)
        if reply.content_type == "application/json":
            body = await reply.read(self._limits.max_message_bytes)
            return await aside(partial(read_response, call_id=call_id), body)
        if _is_event_stream(reply):
            limits = self._limits
            limit = limits.max_message_bytes if quiet_s is None else limits.max_event_bytes
            return await self._read_stream(reply, EventParser(limit), call_id, dialogue)
        if reply.status == 202:  # noqa: PLR2004  # Accepted
            raise BadAnswer("accepted a request without answering it (HTTP 202)")
        raise BadAnswer(f"answered with the content type {reply.content_type or 'none'!r}")

    async def _read_stream(
        self, reply: Reply, parser: EventParser, call_id: int, dialogue: Dialogue | None
    ) -> dict[str, Any]:
        found = await self._find_response(reply, parser, call_id, dialogue)
        for _ in range(_RESUMES):
            if found is not None or parser.last_id is None or self._session is None:
                break
            await anyio.sleep(_retry_s(parser))
            parser.begin()
            async with self._get(parser) as resumed:
                await self._refuse_error(resumed)
                found = await self._find_response(resumed, parser, call_id, dialogue)
        if found is None:
            raise Unanswered("ended its answer before the result")
        return rpc.open_response(found)

    async def _find_response(
        self, reply: Reply, parser: EventParser, call_id: int, dialogue: Dialogue | None
    ) -> dict[str, Any] | None:
        async for event in _events(reply, parser):
            response = await self._take(event, call_id, dialogue)
            if response is not None:
                return response
        return None

    async def _take(
        self, event: ServerEvent, call_id: int | None, dialogue: Dialogue | None
    ) -> dict[str, Any] | None:
        """Deal with one event of a stream; return it when it answers ``call_id``."""
        try:
            message = await _decode_event(event)
        except Unrelayable as failure:
            if call_id is not None and _may_answer(failure, call_id):
                raise
            message = None
        if message is None:
            self._noise += bool(event.data)
            return None
        if rpc.is_response(message):
            if call_id is not None and rpc.same_id(message.get("id"), call_id):
                return message
            self._noise += 1
            return None
        if not self._incoming.take(message, self._reply, by=dialogue):
            self._noise += 1
        return None

    async def _reply(self, message: Mapping[str, Any]) -> None:
        await self._tell(message, _ANSWER_S)

    async def _tell(self, message: Mapping[str, Any], timeout_s: float = _ASIDE_S) -> None:
        with anyio.move_on_after(timeout_s), contextlib.suppress(LinkFailure):
            async with self._post(message, self._version) as reply:
                await reply.read(self._limits.max_message_bytes)

    async def _refuse_error(self, reply: Reply) -> None:
        """Raise what an unsuccessful status means; the body is asked first."""
        if reply.status < 300:  # noqa: PLR2004  # success
            return
        if reply.location is not None:
            raise BadAnswer(f"redirects to {reply.location}; use that URL if it is the server's")
        failure = await self._failure_in(reply)
        if self._session is not None and _forgot_session(reply.status, failure):
            reason = "the server no longer knows our session"
            self.lose(reason)
            raise LinkLost(reason, delivered=False)
        if reply.status in {401, 403}:
            raise Unauthorized(
                f"refused the credentials (HTTP {reply.status}); check the server's headers"
            )
        if failure is not None:
            raise failure
        if reply.status >= 500 or reply.status == 429:  # noqa: PLR2004  # trouble, or too many
            raise Unanswered(f"answered HTTP {reply.status}", retry_after_s=reply.retry_after_s)
        hint = _WRONG_PLACE if reply.status in {404, 405} else ""
        raise BadAnswer(f"answered HTTP {reply.status}{hint}")

    async def _failure_in(self, reply: Reply) -> RpcFailure | None:
        if reply.content_type != "application/json":
            return None
        try:
            message = decode(await reply.read(self._limits.max_message_bytes))
            if isinstance(message, dict):
                rpc.open_response(cast("dict[str, Any]", message))
        except RpcFailure as failure:
            return failure
        except (ValueError, LinkFailure):
            return None
        return None


def read_response(body: bytes, call_id: int) -> dict[str, Any]:
    """Take the result out of a body of JSON that answers one request.

    Raises:
        LinkFailure: There is none; the class says why.
    """
    try:
        message = decode(body)
    except ValueError as error:
        raise BadAnswer(f"answered with something that is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadAnswer("answered with something that is not a JSON-RPC message")
    response = cast("dict[str, Any]", message)
    if not rpc.same_id(response.get("id"), call_id) and "result" in response:
        raise BadAnswer("answered with the id of another request")
    return rpc.open_response(response)


def _may_answer(failure: Unrelayable, call_id: int) -> bool:
    answered = failure.answered
    return answered is None or any(rpc.same_id(each, call_id) for each in answered)


def _forgot_session(status: int, failure: RpcFailure | None) -> bool:
    # 404 by the specification; the TypeScript SDK's examples say 400 and name the session.
    named = failure is not None and "session" in failure.message.lower()
    return status == 404 or (status == 400 and named)  # noqa: PLR2004


def _is_event_stream(reply: Reply) -> bool:
    return reply.content_type == "text/event-stream"


def _retry_s(parser: EventParser) -> float:
    wait_ms = _DEFAULT_RETRY_MS if parser.retry_ms is None else parser.retry_ms
    return min(wait_ms, _LONGEST_RETRY_MS) / 1000


async def _events(reply: Reply, parser: EventParser) -> AsyncIterator[ServerEvent]:
    with contextlib.suppress(Unanswered):  # cut off: the caller resumes, or says so
        async for chunk in reply.chunks():
            for event in parser.feed(chunk):
                yield event


async def _decode_event(event: ServerEvent) -> dict[str, Any] | None:
    if event.event != "message" or not event.data:
        return None
    try:
        message = await aside(decode, event.data)
    except ValueError:
        return None
    return cast("dict[str, Any]", message) if isinstance(message, dict) else None


@asynccontextmanager
async def open_http(
    transport: HttpTransport,
    *,
    limits: LinkLimits,
    outside: Outside,
    authorizer: Authorizer | None = None,
) -> AsyncGenerator[HttpLink]:
    """Talk to an MCP endpoint. Nothing is sent until the first request.

    Raises:
        LinkLost: The URL cannot be used.
    """
    async with client_of(transport, limits=limits, authorizer=authorizer) as client:
        link = HttpLink(client, limits=limits, outside=outside)
        try:
            yield link
        finally:
            await link.say_goodbye()
