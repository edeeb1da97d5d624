"""JSON-RPC 2.0 as MCP uses it: messages to bytes and back, and requests waiting for their answers.

Knows no method and no transport. Messages stay plain dicts: nothing is validated twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anyio

from toolcrib_server.upstream.failures import BadAnswer, LinkLost, RpcFailure, Unrelayable

METHOD_NOT_FOUND = -32601
NOT_CANCELLED = frozenset({"initialize", "server/discover"})
"""Requests that the specification forbids to cancel."""

_OF_A_RESPONSE = frozenset({"id", "result", "error"})
_MOST_ERROR_CHARS = 4000
_LARGEST = 1e300
"""No progress is larger; integers may be too large for a float, and floats infinite."""


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


def response(asked: int | str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Make the response to a request of the server's."""
    return {"jsonrpc": "2.0", "id": asked, "result": result}


def error_response(asked: int | str, code: int, text: str, data: object = None) -> dict[str, Any]:
    """Make the response that refuses a request of the server's."""
    error: dict[str, Any] = {"code": code, "message": text}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": asked, "error": error}


def params_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters of a request or a notification; what is no object is none."""
    params = message.get("params")
    return cast("dict[str, Any]", params) if isinstance(params, dict) else {}


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


def read_id(answered: object) -> int | None:
    """Narrow an id, or a token, to one of ours; some servers send numbers back as strings."""
    if isinstance(answered, str) and answered.isdecimal() and len(answered) < 20:  # noqa: PLR2004  # digits of any id of ours
        return int(answered)
    return answered if isinstance(answered, int) and not isinstance(answered, bool) else None


def read_progress(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Narrow the parameters of a progress notification, without its token; None: malformed."""
    step = {key: value for key, value in params.items() if key != "progressToken"}
    if not _is_number(step.get("progress")):
        return None
    if not _is_number(step.get("total", 0)):
        del step["total"]
    if not isinstance(step.get("message", ""), str):
        del step["message"]
    return step


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -_LARGEST <= value <= _LARGEST


class Call:
    """One request in flight on a link whose answers all come by one channel."""

    __slots__ = ("_event", "_outcome")

    def __init__(self) -> None:
        self._outcome: Mapping[str, Any] | Exception | None = None
        self._event = anyio.Event()

    def settle(self, outcome: Mapping[str, Any] | Exception) -> None:
        """Give the response, or why there will be none. The first one counts."""
        if self._outcome is None:
            self._outcome = outcome
            self._event.set()

    async def wait(self) -> dict[str, Any]:
        """Wait for the result.

        Raises:
            RpcFailure: The server answered with an error.
            BadAnswer: It answered with something that is not MCP.
            LinkLost: The link broke before the answer.
        """
        if self._outcome is None:  # over HTTP+SSE it may be there before anybody waits
            await self._event.wait()
        assert self._outcome is not None
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

    def open(self, call_id: int) -> Call:
        """Start to wait for the answer to ``call_id``."""
        call = self._calls[call_id] = Call()
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
        known = read_id(call_id)
        return None if known is None else self._calls.get(known)
