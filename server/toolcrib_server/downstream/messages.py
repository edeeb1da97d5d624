"""What a client sends, told apart: requests, notifications, and answers to what it was asked.

Knows JSON-RPC as MCP narrows it. Knows no method and no transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST

from toolcrib_registry.types import JsonObject

from .service import RpcError

Id: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    id: Id
    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Note:
    """A notification."""

    method: str
    params: JsonObject


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request of ours: a result, or an error object."""

    id: object
    result: JsonObject | None
    error: JsonObject | None


def sort(decoded: object) -> Call | Note | Reply:
    """Tell what one message is.

    Raises:
        RpcError: It is none.
    """
    if not isinstance(decoded, dict):
        raise RpcError(INVALID_REQUEST, "A message is a JSON object.")
    message = cast("dict[str, Any]", decoded)
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "'jsonrpc' must be \"2.0\".")
    if "method" not in message:
        return _reply(message)
    method = message["method"]
    if not isinstance(method, str) or not method:
        raise RpcError(INVALID_REQUEST, "'method' must be a text that is not empty.")
    if "id" not in message:
        return Note(method, _params(message))
    call_id = id_of(message)
    if call_id is None:
        raise RpcError(INVALID_REQUEST, "'id' must be a text or an integer.")
    return Call(call_id, method, _params(message))


def id_of(decoded: object) -> Id | None:
    """Return a message's id, if it is one that a request may have."""
    if not isinstance(decoded, dict):
        return None
    found = cast("dict[str, Any]", decoded).get("id")
    return found if isinstance(found, (str, int)) and not isinstance(found, bool) else None


def _params(message: Mapping[str, Any]) -> JsonObject:
    params = message.get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "'params' must be an object.")
    return cast("dict[str, Any]", params)


def _reply(message: Mapping[str, Any]) -> Reply:
    result, error = message.get("result"), message.get("error")
    if isinstance(error, dict) and "id" in message:
        return Reply(message["id"], None, cast("dict[str, Any]", error))
    if isinstance(result, dict) and "id" in message:
        return Reply(message["id"], cast("dict[str, Any]", result), None)
    raise RpcError(INVALID_REQUEST, "A message is a request, a notification or a response.")


def request(call_id: Id, method: str, params: JsonObject) -> dict[str, Any]:
    """Make a request message."""
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}


def notification(method: str, params: JsonObject) -> dict[str, Any]:
    """Make a notification message; without parameters if there are none."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        message["params"] = params
    return message


def response(call_id: Id, result: JsonObject) -> dict[str, Any]:
    """Make the message that answers a request."""
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def failure(call_id: Id | None, error: RpcError) -> dict[str, Any]:
    """Make the message that refuses a request; without an id that could be read it is null."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": body}


def refusal_in(reply: Reply) -> RpcError:
    """Read the error that a client answered with."""
    error = reply.error or {}
    code, text = error.get("code"), error.get("message")
    return RpcError(
        code if isinstance(code, int) and not isinstance(code, bool) else INTERNAL_ERROR,
        text if isinstance(text, str) and text else "The client refused without a reason.",
        error.get("data"),
    )
