"""JSON-RPC 2.0 as MCP uses it: messages to bytes and back, and requests waiting for their answers.

Knows no method and no transport. Messages stay plain dicts: nothing is validated twice.
"""

from __future__ import annotations

import inspect
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

import anyio

from .failures import BadAnswer, LinkLost, RpcFailure, Unrelayable

OnProgress = Callable[[float, float | None, str | None], Any]
"""Called with (progress, total, message); may return an awaitable."""

METHOD_NOT_FOUND = -32601
NOT_CANCELLED = frozenset({"initialize", "server/discover"})
"""Requests that the specification forbids to cancel."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_OF_A_RESPONSE = frozenset({"id", "result", "error"})
_MAX_PROGRESS_QUEUED = 1000
_MOST_ERROR_CHARS = 4000
_LARGEST = 1e300
"""No progress is larger; integers may be too large for a float, and floats infinite."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Write a message as one line of UTF-8 JSON, without the newline."""
    # Lone surrogates are legal in JSON escapes but not in UTF-8; a caller may have sent some.
    return _encode(message).encode("utf-8", "replace")


def request(call_id: int, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Make a request message."""
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make a notification message."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": params}


def cancellation(call_id: int) -> dict[str, Any]:
    """Make the notification that a request was abandoned."""
    reason = "the caller stopped waiting"
    return notification("notifications/cancelled", {"requestId": call_id, "reason": reason})


def answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a request of the server's: a ping with a pong, anything else with a refusal.

    Toolcrib declares no client capability, so a server has no right to ask for more.
    """
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
    if message.get("method") == "ping":
        return {**reply, "result": {}}
    refusal = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
    return {**reply, "error": refusal}


def is_response(message: Mapping[str, Any]) -> bool:
    """Whether the message answers a request, rather than being one or a notification."""
    return "method" not in message and not message.keys().isdisjoint(_OF_A_RESPONSE)


def same_id(answered: object, call_id: int) -> bool:
    """Whether an answer's id is ours; some servers send numbers back as strings."""
    return (answered == call_id and not isinstance(answered, bool)) or answered == str(call_id)


def open_response(message: Mapping[str, Any]) -> dict[str, Any]:
    """Take the result out of a response.

    Raises:
        RpcFailure: The response is an error.
        BadAnswer: It is neither an error nor a result object that can be handed on.
    """
    result = message.get("result")
    if isinstance(result, dict):
        return _check_content(cast("dict[str, Any]", result))
    error = message.get("error")
    if isinstance(error, dict):
        raise _failure(cast("dict[str, Any]", error))
    raise BadAnswer("answered with neither a result object nor an error object")


def _check_content(result: dict[str, Any]) -> dict[str, Any]:
    if "content" not in result:
        return result
    content = result["content"]
    if not isinstance(content, list):
        raise BadAnswer("answered with 'content' that is not a list")
    for at, block in enumerate(cast("list[Any]", content)):
        if not isinstance(block, dict):
            raise BadAnswer(f"answered with 'content' whose item {at} is not an object")
        if not isinstance(cast("dict[str, Any]", block).get("type"), str):
            raise BadAnswer(f"answered with 'content' whose item {at} has no 'type'")
    return result


def _failure(error: Mapping[str, Any]) -> RpcFailure:
    code, text = error.get("code"), error.get("message")
    return RpcFailure(
        code if isinstance(code, int) and not isinstance(code, bool) else 0,
        text[:_MOST_ERROR_CHARS] if isinstance(text, str) and text else "unnamed error",
        error.get("data"),
    )


def read_progress(params: Mapping[str, Any]) -> tuple[float, float | None, str | None] | None:
    """Narrow the parameters of a progress notification; None when they are malformed."""
    progress, total = _number(params.get("progress")), _number(params.get("total"))
    text = params.get("message")
    return None if progress is None else (progress, total, text if isinstance(text, str) else None)


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float)) or not -_LARGEST <= value <= _LARGEST:
        return None
    return float(value)


async def report(on_progress: OnProgress, step: tuple[float, float | None, str | None]) -> None:
    """Hand one step of progress to whoever asked for it."""
    told = on_progress(*step)
    if inspect.isawaitable(told):
        await told


class Call:
    """One request in flight on a link whose answers all come by one channel."""

    __slots__ = ("_event", "_on_progress", "_outcome", "_steps")

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._outcome: Mapping[str, Any] | Exception | None = None
        self._steps: deque[tuple[float, float | None, str | None]] = deque(
            maxlen=_MAX_PROGRESS_QUEUED
        )
        self._event = anyio.Event()

    def settle(self, outcome: Mapping[str, Any] | Exception) -> None:
        """Give the response, or why there will be none. The first one counts."""
        if self._outcome is None:
            self._outcome = outcome
            self._event.set()

    def progress(self, params: Mapping[str, Any]) -> None:
        """Queue a step of progress for the waiter; a step nobody asked for is dropped."""
        step = read_progress(params)
        if self._on_progress and step:
            self._steps.append(step)
            self._event.set()

    async def wait(self) -> dict[str, Any]:
        """Wait for the result. Progress is reported from here, so that no reader ever waits for it.

        Raises:
            RpcFailure: The server answered with an error.
            BadAnswer: It answered with something that is not MCP.
            LinkLost: The link broke before the answer.
        """
        # Over HTTP+SSE all of it, the outcome too, may be there before anybody waits.
        while self._steps or self._outcome is None:
            while self._on_progress and self._steps:
                await report(self._on_progress, self._steps.popleft())
            if self._outcome is None:
                await self._event.wait()
                self._event = anyio.Event()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return open_response(self._outcome)


class Calls:
    """The requests in flight on one link, by id."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self.unmatched = 0
        """How many answers belonged to no request."""

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, call_id: int, on_progress: OnProgress | None) -> Call:
        """Start to wait for the answer to ``call_id``."""
        call = self._calls[call_id] = Call(on_progress)
        return call

    def close(self, call_id: int) -> None:
        """Stop waiting; a late answer counts as unmatched."""
        self._calls.pop(call_id, None)

    def settle(self, message: Mapping[str, Any]) -> None:
        """Hand a response to whoever waits for it."""
        call = self._find(message.get("id"))
        if call is None:
            self.unmatched += 1
        else:
            call.settle(message)

    def progress(self, params: Mapping[str, Any]) -> None:
        """Hand a progress notification to the call it is about."""
        call = self._find(params.get("progressToken"))
        if call is not None:
            call.progress(params)

    def fail(self, failure: Unrelayable) -> None:
        """Fail the requests that an unusable message answers.

        Raises:
            Unrelayable: It cannot be told which of several it answers.
        """
        answered = failure.answered
        if answered is None and len(self._calls) > 1:
            raise failure
        calls = [self._find(each) for each in (self._calls if answered is None else answered)]
        found = [call for call in calls if call is not None]
        self.unmatched += not found
        for call in found:
            call.settle(failure)

    def fail_all(self, reason: LinkLost | BadAnswer) -> None:
        """Tell every waiter that no answer will come."""
        for call in self._calls.values():
            call.settle(reason)

    def _find(self, call_id: object) -> Call | None:
        if isinstance(call_id, str) and call_id.isdecimal() and len(call_id) < 20:  # noqa: PLR2004  # digits of any id of ours
            call_id = int(call_id)
        if isinstance(call_id, int) and not isinstance(call_id, bool):
            return self._calls.get(call_id)
        return None
