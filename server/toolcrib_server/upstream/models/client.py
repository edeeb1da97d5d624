"""A client of OpenAI-compatible APIs: chat, streamed or not, embeddings, and the list of models.

Sends what it is given, checks what comes back, and tells each fault of a provider apart. Knows one
endpoint at a time; nothing of retries, budgets or other offers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import anyio

from toolcrib_registry.errors import (
    Peer,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.bulk import aside, is_bulky, write_json
from toolcrib_server.upstream.failures import LinkFailure
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.network.endpoint_client import EndpointClient, Reply

from .faults import MAX_ERROR_BYTES, error_in_answer, error_of_link, error_of_reply
from .limits import ModelLimits
from .stream import ChatStream, read_object
from .target import Target

_JSON = {"content-type": "application/json", "accept": "application/json"}
_STREAM = {"content-type": "application/json", "accept": "text/event-stream"}
_OK = 200
_IT = Peer.PROVIDER
_MAX_LISTED = 10_000


class ModelClient:
    """Keeps connections to every endpoint it has spoken to. An async context manager."""

    def __init__(self, limits: ModelLimits | None = None) -> None:
        self.limits = limits or ModelLimits()
        self._endpoints: dict[str, EndpointClient] = {}
        self._opening = anyio.Lock()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def chat(self, target: Target, body: JsonObject, *, timeout_s: float) -> JsonObject:
        """Ask for a whole answer; return it as the provider sent it.

        Raises:
            UpstreamError: There is none; the class says why.
        """
        answer = await self._ask(target, "chat/completions", body, timeout_s=timeout_s)
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise UpstreamProtocolError(target.provider, "answered without choices.", peer=_IT)
        return answer

    @asynccontextmanager
    async def stream(
        self, target: Target, body: JsonObject, *, timeout_s: float
    ) -> AsyncGenerator[ChatStream]:
        """Ask for an answer in chunks. Enter and leave it in one task; leaving ends the answer.

        Raises:
            UpstreamError: There is none; the class says why.
        """
        deadline = anyio.current_time() + timeout_s
        async with contextlib.AsyncExitStack() as stack:
            reply = await self._begin(stack, target, body, timeout_s=timeout_s)
            yield ChatStream(target, reply, limits=self.limits, deadline=deadline)

    async def embed(self, target: Target, body: JsonObject, *, timeout_s: float) -> JsonObject:
        """Ask for the vectors of texts; return the answer as the provider sent it.

        Raises:
            UpstreamError: There is none; the class says why.
        """
        answer = await self._ask(target, "embeddings", body, timeout_s=timeout_s)
        wanted, got = _count_inputs(body.get("input")), len(_list(answer.get("data")))
        if got != wanted:
            raise UpstreamProtocolError(
                target.provider, f"answered {got} vectors for {wanted} inputs.", peer=_IT
            )
        return answer

    async def list_models(self, target: Target, *, timeout_s: float = 30.0) -> tuple[str, ...]:
        """List the names of the models that an endpoint serves.

        Raises:
            UpstreamError: It does not say.
        """
        answer = await self._ask(target, "models", None, timeout_s=timeout_s)
        listed = _list(answer.get("data"))[:_MAX_LISTED]
        items = (cast("Mapping[str, Any]", item) for item in listed if isinstance(item, Mapping))
        return tuple(name for item in items if isinstance(name := item.get("id"), str) and name)

    async def _ask(
        self, target: Target, path: str, body: JsonObject | None, *, timeout_s: float
    ) -> JsonObject:
        try:
            with anyio.fail_after(timeout_s):
                text = await self._exchange(target, path, body)
        except TimeoutError:
            what = "with the whole answer"
            raise UpstreamTimeout(target.provider, what, timeout_s, peer=_IT) from None
        answer = await aside(partial(read_object, target), text)
        error = error_in_answer(target, answer)
        if error is not None:
            raise error
        return answer

    async def _exchange(self, target: Target, path: str, body: JsonObject | None) -> str:
        begun = False
        sent = None if body is None else await aside(encode, body)
        headers = {**_JSON, **target.headers}
        try:
            endpoint = await self._endpoint(target)
            method, url = "GET" if sent is None else "POST", f"{target.url}/{path}"
            async with endpoint.send(method, sent, headers, url=url) as reply:
                begun = True
                await _refuse(target, reply)
                raw = await reply.read(self.limits.max_answer_bytes)
        except LinkFailure as failure:
            raise error_of_link(target, failure, begun=begun) from failure
        return target.redact(raw.decode("utf-8", "replace"))

    async def _begin(
        self,
        stack: contextlib.AsyncExitStack,
        target: Target,
        body: JsonObject,
        *,
        timeout_s: float,
    ) -> Reply:
        wait_s = min(timeout_s, self.limits.idle_timeout_s)
        headers = {**_STREAM, **target.headers}
        url = f"{target.url}/chat/completions"
        try:
            with anyio.fail_after(wait_s):
                endpoint = await self._endpoint(target)
                sent = await aside(encode, body)
                sending = endpoint.send("POST", sent, headers, url=url)
                reply = await stack.enter_async_context(sending)
                await _refuse(target, reply)
                await self._refuse_no_stream(target, reply)
        except TimeoutError:
            what = "with the first token"
            raise UpstreamTimeout(target.provider, what, wait_s, peer=_IT) from None
        except LinkFailure as failure:
            raise error_of_link(target, failure, begun=False) from failure
        return reply

    async def _refuse_no_stream(self, target: Target, reply: Reply) -> None:
        if reply.content_type == "text/event-stream":
            return
        kind = reply.content_type or "nothing"
        error: UpstreamError | None = None
        if kind == "application/json":
            text = target.redact((await reply.read(MAX_ERROR_BYTES)).decode("utf-8", "replace"))
            error = error_in_answer(target, read_object(target, text))
        raise error or UpstreamProtocolError(
            target.provider,
            f"answered with {kind} where a stream of events was asked for.",
            peer=_IT,
        )

    async def _endpoint(self, target: Target) -> EndpointClient:
        parts = urlsplit(target.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        async with self._opening:
            known = self._endpoints.get(origin)
            if known is None:
                known = EndpointClient(origin, {}, limits=LinkLimits())
                self._endpoints[origin] = await self._stack.enter_async_context(known)
        return known


async def _refuse(target: Target, reply: Reply) -> None:
    if reply.status != _OK:
        body = b""
        with contextlib.suppress(LinkFailure):  # the status says enough
            body = await reply.read(MAX_ERROR_BYTES)
        raise error_of_reply(target, reply, body)


def encode(body: JsonObject) -> bytes:
    """Render JSON for the wire; half characters go as the escapes they came as."""
    try:
        return _written(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return _written(body, ensure_ascii=True).encode()


def _written(body: JsonObject, *, ensure_ascii: bool) -> str:
    encode_whole = json.JSONEncoder(ensure_ascii=ensure_ascii, separators=(",", ":")).encode
    return write_json(body, encode_whole) if is_bulky(body) else encode_whole(body)


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _count_inputs(given: object) -> int:
    """Count the texts to embed; a list of numbers is one text, as tokens."""
    items = _list(given)
    return len(items) if items and not isinstance(items[0], int) else 1
