"""Answers of the OpenAI API: whole or streamed, with the choice and its reasons beside them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.examples import Example
from toolcrib_server.answers.lookup import Lookup
from toolcrib_server.answers.showing import EXAMPLES_HEADER, cache_headers
from toolcrib_server.cascade.showing import climb_line
from toolcrib_server.chat.flow import ChatFlow
from toolcrib_server.chat.reply import Reply, plain_reply
from toolcrib_server.chat.showing import own_view
from toolcrib_server.invocation.bodies.request import objects
from toolcrib_server.invocation.models.order import Answered, Failed
from toolcrib_server.jsonrpc.bulk import aside, is_bulky, write_json
from toolcrib_server.rest.problems import problem_of

from .shape import error_of

_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_LONGEST_HEADER = 1_000
_LONGEST_UNREAD_S = 120.0
_STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


async def given(reply: Reply, *, body: Mapping[str, Any]) -> Response:
    """Give a whole answer in the form that was asked for: a stream is one of a single chunk."""
    headers = headers_of(reply)
    whole = {**reply.answer, "toolcrib": own_view(reply)}
    if body.get("stream") is not True:
        return await _json(whole, headers)
    text = "".join(_as_events(reply.answer, body))
    return Response(text, headers=_STREAM_HEADERS | headers)


async def plain(answered: Answered) -> Response:
    """Give what no cache and no cascade was asked for, as vectors."""
    reply = plain_reply(answered)
    return await _json({**reply.answer, "toolcrib": own_view(reply)}, headers_of(reply))


async def _json(whole: JsonObject, headers: Mapping[str, str]) -> Response:
    content = await aside(_rendered, whole)
    return Response(content, media_type="application/json", headers=dict(headers))


def _rendered(whole: JsonObject) -> bytes:
    text = write_json(whole, _ENCODE) if is_bulky(whole) else _ENCODE(whole)
    return text.encode()


def headers_of(reply: Reply) -> dict[str, str]:
    """Say who answers, why, and what came of cache, examples and cascade, in headers."""
    attempts = len(reply.failed) + 1 if reply.measured is not None else 0
    headers = _giver(reply.model, reply.provider, reply.reasons, reply.failed, attempts)
    if reply.cost_usd is not None:
        headers["x-toolcrib-cost-usd"] = f"{reply.cost_usd:.9g}"
    if reply.climbed is not None:
        headers["x-toolcrib-cascade"] = climb_line(reply.climbed)
    return _printable_all(headers | _known(reply.looked, reply.examples))


def headers_of_flow(flow: ChatFlow) -> dict[str, str]:
    """Say the same of an answer that is on its way."""
    pick, failed = flow.flow.pick, flow.flow.failed
    candidate = pick.candidate
    headers = _giver(
        candidate.model.name, candidate.provider, pick.reasons, failed, len(failed) + 1
    )
    return _printable_all(headers | _known(flow.prepared.looked, flow.prepared.examples))


def _giver(
    model: str,
    provider: str | None,
    reasons: Sequence[str],
    failed: Sequence[Failed],
    attempts: int,
) -> dict[str, str]:
    headers = {
        "x-toolcrib-model": model,
        "x-toolcrib-provider": provider or "",
        "x-toolcrib-reason": " ".join(reasons),
        "x-toolcrib-attempts": str(attempts),
    }
    if failed:
        passed = "; ".join(f"{f.candidate.label}: {f.error.detail}" for f in failed)
        headers["x-toolcrib-fallback"] = passed
    return headers


def _known(looked: Lookup | None, examples: Sequence[Example]) -> dict[str, str]:
    headers = {} if looked is None else cache_headers(looked)
    return headers | ({EXAMPLES_HEADER: str(len(examples))} if examples else {})


def _printable_all(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: _printable(value) for name, value in headers.items()}


def _as_events(answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    """Cut a whole answer into the events of a stream."""
    usage = answer.get("usage")
    head = {name: answer[name] for name in ("id", "created", "model") if name in answer}
    chunk = {**head, "object": "chat.completion.chunk"}
    choices = [
        {
            "index": choice.get("index", at),
            "delta": _delta(choice.get("message")),
            "finish_reason": choice.get("finish_reason"),
        }
        for at, choice in enumerate(objects(answer.get("choices")))
    ]
    yield f"data: {json.dumps({**chunk, 'choices': choices})}\n\n"
    options = body.get("stream_options")
    if isinstance(options, dict) and cast("dict[str, Any]", options).get("include_usage") is True:
        yield f"data: {json.dumps({**chunk, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _delta(message: object) -> dict[str, Any]:
    """Turn a message into a delta, whose calls of tools are numbered."""
    delta = {name: value for each in objects([message]) for name, value in each.items()}
    calls = objects(delta.get("tool_calls"))
    if calls:
        delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls)]
    return delta


class WholeAnswer(Response):
    """Asks for an answer and sends it whole; who leaves before it is there ends the asking."""

    def __init__(self, ask: Callable[[], Awaitable[Response]]) -> None:
        super().__init__(None)
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ToolcribError: No offer answered.
        """
        answer: Response | None = None
        failure: ToolcribError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            try:
                answer = await self._ask()
            except ToolcribError as error:
                failure = error  # raised outside: a task group would wrap it
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if answer is not None:
            await answer(scope, receive, send)


class StreamedAnswer(Response):
    """Relays a stream, chunk by chunk. Opened, read and closed in the task of its request."""

    def __init__(
        self,
        stream: Callable[[], AbstractAsyncContextManager[ChatFlow]],
        *,
        unread_s: float = _LONGEST_UNREAD_S,
    ) -> None:
        """``unread_s`` is how long a chunk may wait for a client that does not read."""
        super().__init__(None)
        self._stream = stream
        self._unread_s = unread_s
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ToolcribError: No offer came to its first token; nothing was answered yet.
        """
        failure: ToolcribError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            try:
                await self._relay(send)
            except ToolcribError as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is None:
            return
        if not self._started:
            raise failure
        # Too late for a status: clients of OpenAI raise what an event of this shape says.
        problem = problem_of(failure).model_dump(mode="json", by_alias=True)
        await send(_event(json.dumps({"error": error_of(problem)}), last=True))

    async def _relay(self, send: Send) -> None:
        async with self._stream() as flow:
            await send(_head(flow))
            self._started = True
            async for chunk in flow.chunks():
                with anyio.move_on_after(self._unread_s) as reading:
                    await send(_event(chunk.data))
                if reading.cancelled_caught:
                    return  # as if it had left: its place at the provider is for others
        await send(_event("[DONE]", last=True))


def _head(flow: ChatFlow) -> dict[str, Any]:
    headers = _STREAM_HEADERS | headers_of_flow(flow)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": raw}


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _event(data: str, *, last: bool = False) -> dict[str, Any]:
    body = data.replace("\r", " ").replace("\n", "\ndata: ")
    return {
        "type": "http.response.body",
        "body": f"data: {body}\n\n".encode("utf-8", "replace"),
        "more_body": not last,
    }


def _printable(value: str) -> str:
    """Keep what a header can hold: registered names and providers' words are other people's."""
    clean = "".join(c if " " <= c <= "~" else "?" for c in " ".join(value.split()))
    return clean if len(clean) <= _LONGEST_HEADER else f"{clean[: _LONGEST_HEADER - 3]}..."
