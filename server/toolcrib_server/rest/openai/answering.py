"""Answers of the OpenAI API: whole or streamed, with the choice and its reasons beside them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, cast

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.cache import Lookup
from toolcrib_server.answers.keeping import StreamedText
from toolcrib_server.answers.showing import cache_headers, cache_view
from toolcrib_server.cascade.climbing import Climbed
from toolcrib_server.cascade.showing import climb_line, climb_view
from toolcrib_server.invocation.figures import Measured
from toolcrib_server.invocation.models import Answered, Failed, ModelFlow, ModelInvoker, ModelOrder
from toolcrib_server.invocation.orders import objects
from toolcrib_server.invocation.picking import Pick
from toolcrib_server.rest.problems import problem_of

from .shape import error_of

_LONGEST_HEADER = 1_000
_LONGEST_UNREAD_S = 120.0
_STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


def headers_of(pick: Pick, failed: tuple[Failed, ...]) -> dict[str, str]:
    """Say who answers and why, in headers."""
    headers = {
        "x-toolcrib-model": pick.candidate.model.name,
        "x-toolcrib-provider": pick.candidate.provider or "",
        "x-toolcrib-reason": " ".join(pick.reasons),
        "x-toolcrib-attempts": str(len(failed) + 1),
    }
    if failed:
        passed = "; ".join(f"{f.candidate.label}: {f.error.detail}" for f in failed)
        headers["x-toolcrib-fallback"] = passed
    return {name: _printable(value) for name, value in headers.items()}


def whole_answer(answered: Answered, *, looked: Lookup | None = None) -> JSONResponse:
    """Answer as the provider did, with a word of ours beside it."""
    pick, measured = answered.pick, answered.measured
    headers = headers_of(pick, answered.failed) | said_of_cache(looked)
    if measured.cost_usd is not None:
        headers["x-toolcrib-cost-usd"] = f"{measured.cost_usd:.9g}"
    own = own_word(pick, answered.failed, measured)
    if looked is not None:
        own["cache"] = cache_view(looked, shows_question=False)
    return JSONResponse({**answered.answer, "toolcrib": own}, headers=headers)


def said_of_cache(looked: Lookup | None) -> dict[str, str]:
    """Say in headers what the cache knew; nothing where nobody asked it."""
    headers = {} if looked is None else cache_headers(looked)
    return {name: _printable(value) for name, value in headers.items()}


def kept_answer(looked: Lookup, *, body: Mapping[str, Any], shows_question: bool) -> Response:
    """Give an answer that was given before; to who asked for a stream, as one of a single chunk."""
    kept = looked.kept
    assert kept is not None, "only a hit has an answer"
    reason = "The answer to an earlier request is given again."
    own: dict[str, Any] = {
        "model": kept.model,
        "provider": kept.provider,
        "reasons": [reason],
        "failed": [],
        "costUsd": 0.0,
        "cache": cache_view(looked, shows_question=shows_question),
    }
    headers = {
        "x-toolcrib-model": _printable(kept.model),
        "x-toolcrib-provider": _printable(kept.provider or ""),
        "x-toolcrib-reason": reason,
        "x-toolcrib-attempts": "0",
        "x-toolcrib-cost-usd": "0",
        **said_of_cache(looked),
    }
    return _given(kept.answer, own, headers, body)


def own_word(pick: Pick, failed: tuple[Failed, ...], measured: Measured) -> dict[str, Any]:
    """Say who answered, why, and what it took."""
    return {
        "model": pick.candidate.model.name,
        "provider": pick.candidate.provider,
        "reasons": list(pick.reasons),
        "failed": [{"offer": f.candidate.label, "reason": f.error.detail} for f in failed],
        "tokensIn": measured.tokens_in,
        "tokensOut": measured.tokens_out,
        "estimated": measured.estimated,
        "costUsd": measured.cost_usd,
        "durationMs": round(measured.duration_ms, 3),
    }


def climbed_answer(climbed: Climbed, *, body: Mapping[str, Any]) -> Response:
    """Answer with what a cascade came to; to who asked for a stream, as one of a single chunk."""
    answered = climbed.answered
    headers = headers_of(answered.pick, answered.failed)
    headers["x-toolcrib-cascade"] = _printable(climb_line(climbed))
    own = own_word(answered.pick, answered.failed, answered.measured)
    own |= {"cascade": climb_view(climbed), "costUsd": climbed.cost_usd}
    if climbed.cost_usd is not None:
        headers["x-toolcrib-cost-usd"] = f"{climbed.cost_usd:.9g}"
    return _given(answered.answer, own, headers, body)


def _given(
    answer: JsonObject, own: dict[str, Any], headers: dict[str, str], body: Mapping[str, Any]
) -> Response:
    """Give a whole answer in the form that was asked for."""
    if body.get("stream") is not True:
        return JSONResponse({**answer, "toolcrib": own}, headers=headers)
    text = "".join(_as_events(answer, body))
    return Response(text, headers=_STREAM_HEADERS | headers)


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
        invoker: ModelInvoker,
        order: ModelOrder,
        *,
        looked: Lookup | None = None,
        on_whole: Callable[[ModelFlow, JsonObject], None] | None = None,
        unread_s: float = _LONGEST_UNREAD_S,
    ) -> None:
        """``unread_s`` is how long a chunk may wait for a client that does not read.

        ``on_whole`` is told of an answer that is one text, once all of it is there.
        """
        super().__init__(None)
        self._looked = looked
        self._on_whole = on_whole
        self._unread_s = unread_s
        self._invoker = invoker
        self._order = order
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
        together = StreamedText()
        async with self._invoker.stream(self._order) as flow:
            await send(self._head(flow))
            self._started = True
            async for chunk in flow.chunks():
                if self._on_whole is not None:
                    together.add(chunk.content)
                with anyio.move_on_after(self._unread_s) as reading:
                    await send(_event(chunk.data))
                if reading.cancelled_caught:
                    return  # as if it had left: its place at the provider is for others
        whole = together.whole()
        if self._on_whole is not None and whole is not None:
            self._on_whole(flow, whole)
        await send(_event("[DONE]", last=True))

    def _head(self, flow: ModelFlow) -> dict[str, Any]:
        told = headers_of(flow.pick, flow.failed) | said_of_cache(self._looked)
        headers = _STREAM_HEADERS | told
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
