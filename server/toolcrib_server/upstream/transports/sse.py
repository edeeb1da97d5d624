"""The superseded HTTP+SSE transport: one GET stream brings every answer; requests are POSTed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio

from toolcrib_registry.types import SseTransport
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.upstream.failures import (
    BadAnswer,
    LinkFailure,
    LinkLost,
    Oversized,
    Unanswered,
    Unauthorized,
    Unrelayable,
)
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages import rpc
from toolcrib_server.upstream.messages.decoding import decode
from toolcrib_server.upstream.messages.dialogue import Dialogue
from toolcrib_server.upstream.messages.incoming import Incoming, Outside
from toolcrib_server.upstream.messages.rpc import Calls
from toolcrib_server.upstream.network.endpoint_client import (
    EndpointClient,
    Reply,
    join_within_origin,
)
from toolcrib_server.upstream.network.events import EventParser, ServerEvent
from toolcrib_server.upstream.oauth.authorized import client_of
from toolcrib_server.upstream.oauth.authorizer import Authorizer

from .link import LinkState, OnUp
from .loss import Loss

_ASIDE_S = 2.0
_ANSWER_S = 30.0
"""What the answer to a server's request may take to be sent."""
_STREAM = {"accept": "text/event-stream", "cache-control": "no-store"}
_JSON = {"content-type": "application/json"}


class SseLink:
    """A link over one event stream. Use `open_sse`."""

    is_one_channel = True

    def __init__(
        self, client: EndpointClient, url: str, *, limits: LinkLimits, outside: Outside
    ) -> None:
        self._client = client
        self._url = url
        self._limits = limits
        self._incoming = Incoming(outside, by_streams=False)
        self._calls = Calls()
        self._post_url: str | None = None
        self._ready = anyio.Event()
        self._loss = Loss()
        self._noise = 0

    @property
    def is_lost(self) -> bool:
        """Whether the stream has ended."""
        return self._loss.failure is not None

    async def wait_lost(self) -> str:
        """Wait until the stream has ended; return the reason."""
        return await self._loss.wait()

    def describe(self) -> LinkState:
        """Say how the link fares, for a person."""
        return LinkState(noise=self._noise + self._calls.unmatched)

    async def wait_ready(self) -> None:
        """Wait until the server has said where to POST.

        Raises:
            LinkFailure: It did not.
        """
        await self._ready.wait()
        if self._loss.failure:
            raise self._loss.failure

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
        call = self._calls.open(call_id)
        try:
            with self._incoming.expecting(call_id, dialogue):
                await self._post(rpc.request(call_id, method, params), headers)
                return await call.wait()
        except anyio.get_cancelled_exc_class():
            if method not in rpc.NOT_CANCELLED:
                with anyio.CancelScope(shield=True):
                    await self._tell(rpc.cancellation(call_id))
            raise
        finally:
            self._calls.close(call_id)

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
        await self._post(rpc.notification(method, params), headers)

    async def follow(self, *, headers: Mapping[str, str], on_up: OnUp) -> None:  # it has none
        """Say that it is heard: the stream is read from the start."""
        on_up(missed=True)
        await anyio.sleep_forever()

    async def read(self) -> None:
        """Read the stream until it ends."""
        failure: LinkLost | BadAnswer
        try:
            async with self._client.send("GET", None, _STREAM) as reply:
                _refuse_head(reply)
                await self._read_events(reply)
            failure = LinkLost("the server ended the event stream")
        except Oversized as error:
            failure = BadAnswer(error.reason)
        except BadAnswer as error:
            failure = error
        except LinkFailure as error:
            failure = LinkLost(error.reason)
        self._lose(failure)

    async def _read_events(self, reply: Reply) -> None:
        parser = EventParser(self._limits.max_message_bytes)
        async for chunk in reply.chunks():
            for event in parser.feed(chunk):
                if event.event == "endpoint":
                    self._learn_endpoint(event)
                else:
                    await self._take(event)

    def lose(self, reason: str) -> None:
        """Give the link up: nobody will be answered any more."""
        self._lose(LinkLost(reason))

    def _lose(self, failure: LinkLost | BadAnswer) -> None:
        if self._loss.note(failure):
            self._calls.fail_all(failure)
            self._ready.set()

    def _learn_endpoint(self, event: ServerEvent) -> None:
        endpoint = join_within_origin(self._url, event.data)
        if endpoint is None:
            raise BadAnswer("wants messages sent to another host, or to no URL")
        self._post_url = endpoint
        self._ready.set()

    async def _take(self, event: ServerEvent) -> None:
        try:
            decoded = await aside(decode, event.data)
        except ValueError:
            decoded = None
        except Unrelayable as failure:
            self._calls.fail(failure)
            return
        if not isinstance(decoded, dict):
            self._noise += 1
            return
        message = cast("dict[str, Any]", decoded)
        if rpc.is_response(message):
            self._calls.settle(message)
        elif not self._incoming.take(message, self._reply):
            self._noise += 1

    async def _post(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        fields = {**_JSON, **headers}
        body = encode(message)
        async with self._client.send("POST", body, fields, url=self._post_url) as reply:
            if reply.status >= 400:  # noqa: PLR2004  # refused
                raise _refusal(reply)
            if reply.status >= 300:  # noqa: PLR2004  # a redirect that was not followed
                raise BadAnswer(f"redirects to {reply.location}")
            await reply.read(self._limits.max_message_bytes)

    async def _reply(self, message: Mapping[str, Any]) -> None:
        await self._tell(message, _ANSWER_S)

    async def _tell(self, message: Mapping[str, Any], timeout_s: float = _ASIDE_S) -> None:
        with anyio.move_on_after(timeout_s), contextlib.suppress(LinkFailure):
            await self._post(message, {})


def _refuse_head(reply: Reply) -> None:
    if reply.status != 200:  # noqa: PLR2004  # OK
        raise _refusal(reply)
    if reply.content_type != "text/event-stream":
        raise BadAnswer(
            f"answered with {reply.content_type or 'nothing'!r} instead of an event stream; "
            'if it speaks Streamable HTTP, set "type": "http"'
        )


def _refusal(reply: Reply) -> LinkFailure:
    if reply.status in {401, 403}:
        return Unauthorized(
            f"refused the credentials (HTTP {reply.status}); check the server's headers"
        )
    if reply.location is not None:
        return BadAnswer(f"redirects to {reply.location}; use that URL if it is the server's")
    return Unanswered(f"answered HTTP {reply.status}", retry_after_s=reply.retry_after_s)


@asynccontextmanager
async def open_sse(
    transport: SseTransport,
    *,
    limits: LinkLimits,
    outside: Outside,
    authorizer: Authorizer | None = None,
) -> AsyncGenerator[SseLink]:
    """Open the event stream of a server and talk to it.

    Raises:
        LinkFailure: The stream cannot be opened, or names no endpoint.
    """
    async with (
        client_of(transport, limits=limits, authorizer=authorizer) as client,
        anyio.create_task_group() as tasks,
    ):
        link = SseLink(client, transport.url, limits=limits, outside=outside)
        tasks.start_soon(link.read)
        try:
            yield link
        finally:
            link.lose("the connection was closed")
            tasks.cancel_scope.cancel()
