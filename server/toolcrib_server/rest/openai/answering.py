"""Answers of the OpenAI API: whole or streamed, with the choice and its reasons beside them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.invocation.figures import Measured
from toolcrib_server.invocation.models import Answered, Failed, ModelFlow, ModelInvoker, ModelOrder
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


def whole_answer(answered: Answered) -> JSONResponse:
    """Answer as the provider did, with a word of ours beside it."""
    pick, measured = answered.pick, answered.measured
    headers = headers_of(pick, answered.failed)
    if measured.cost_usd is not None:
        headers["x-toolcrib-cost-usd"] = f"{measured.cost_usd:.9g}"
    own = own_word(pick, answered.failed, measured)
    return JSONResponse({**answered.answer, "toolcrib": own}, headers=headers)


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


class WholeAnswer(Response):
    """Asks for an answer and sends it whole; who leaves before it is there ends the asking."""

    def __init__(self, ask: Callable[[], Awaitable[Answered]]) -> None:
        super().__init__(None)
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ToolcribError: No offer answered.
        """
        answered: Answered | None = None
        failure: ToolcribError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            try:
                answered = await self._ask()
            except ToolcribError as error:
                failure = error  # raised outside: a task group would wrap it
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if answered is not None:
            await whole_answer(answered)(scope, receive, send)


class StreamedAnswer(Response):
    """Relays a stream, chunk by chunk. Opened, read and closed in the task of its request."""

    def __init__(
        self, invoker: ModelInvoker, order: ModelOrder, *, unread_s: float = _LONGEST_UNREAD_S
    ) -> None:
        """``unread_s`` is how long a chunk may wait for a client that does not read."""
        super().__init__(None)
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
        async with self._invoker.stream(self._order) as flow:
            await send(self._head(flow))
            self._started = True
            async for chunk in flow.chunks():
                with anyio.move_on_after(self._unread_s) as reading:
                    await send(_event(chunk.data))
                if reading.cancelled_caught:
                    return  # as if it had left: its place at the provider is for others
        await send(_event("[DONE]", last=True))

    def _head(self, flow: ModelFlow) -> dict[str, Any]:
        headers = _STREAM_HEADERS | headers_of(flow.pick, flow.failed)
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
