"""Failures in JSON-RPC's form. An upstream's own error goes through; ours say what to do.

Codes of ours lie outside the range that JSON-RPC reserves, as the specification wants of codes it
does not define, and are those that HTTP has for the same; ``data.code`` is the stable slug.
"""

from __future__ import annotations

from typing import Any, cast

from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from toolcrib_registry.errors import (
    BudgetExceeded,
    EntryGone,
    EntryQuarantined,
    InvalidArguments,
    InvalidConfig,
    InvalidInput,
    NotAuthenticated,
    NotCallable,
    NotFound,
    NotPermitted,
    RateLimited,
    ResultTooLarge,
    ServerBusy,
    StoreError,
    ToolcribError,
    TooManyCalls,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.spelling import camel
from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.service import Client, RpcError

NOT_FOUND_BEFORE = -32002
"""What "resource not found" was until 2025-11-25; INVALID_PARAMS since."""
_OF_OUR_HOP = frozenset({HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION})
"""Errors about how Toolcrib spoke to the server: a client would take them for its own."""
_MENDABLE = (InvalidArguments, UpstreamTimeout, ResultTooLarge)
_CODES: tuple[tuple[type[ToolcribError], int], ...] = (
    (NotAuthenticated, 401),
    (NotPermitted, 403),
    (BudgetExceeded, 429),
    (RateLimited, 429),
    (TooManyCalls, 429),
    (ServerBusy, 503),
    (UpstreamTimeout, 504),
    (UpstreamUnavailable, 503),
    (UpstreamError, 502),
    (StoreError, 503),
    (EntryGone, INVALID_PARAMS),
    (NotFound, INVALID_PARAMS),
    (NotCallable, INVALID_PARAMS),
    (InvalidConfig, 503),
    (InvalidInput, INVALID_PARAMS),
)
_PLAIN = (str, int, float, bool)


def to_rpc_error(
    error: ToolcribError, *, client: Client | None = None, method: str = ""
) -> RpcError:
    """Turn a failure into what a client is answered; of its era, if ``client`` is given."""
    if isinstance(error, UpstreamProtocolError) and error.rpc_code is not None:
        return _relayed(error, error.rpc_code, client, method)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL_ERROR)
    return RpcError(code, _sentence(error), {"code": error.code, **_facts(error)})


def find_error_result(error: ToolcribError) -> dict[str, Any] | None:
    """Say a failure of ``tools/call`` as a result, if a model can mend it by calling otherwise."""
    if not isinstance(error, _MENDABLE):
        return None
    return {
        "resultType": "complete",
        "content": [{"type": "text", "text": _sentence(error)}],
        "isError": True,
        "_meta": {"toolcrib/code": error.code},
    }


def _relayed(
    error: UpstreamProtocolError, code: int, client: Client | None, method: str
) -> RpcError:
    message = error.reason if error.rpc_message is None else error.rpc_message
    if code in _OF_OUR_HOP:
        data = {"code": error.code, "server": error.server, "rpcCode": code}
        return RpcError(
            502, f"{_sentence(error)} Toolcrib could not speak to it as it wants.", data
        )
    if client is not None and method == "resources/read":
        code = _not_found_code(code, error.rpc_data, client)
    return RpcError(code, message, error.rpc_data)


def _not_found_code(code: int, data: object, client: Client) -> int:
    names_uri = isinstance(data, dict) and "uri" in cast("JsonObject", data)
    if client.session is None:
        return INVALID_PARAMS if code == NOT_FOUND_BEFORE else code
    return NOT_FOUND_BEFORE if code == INVALID_PARAMS and names_uri else code


def _sentence(error: ToolcribError) -> str:
    detail = error.detail if error.detail.endswith((".", "?", "!")) else f"{error.detail}."
    advice = _advice(error)
    return f"{detail} {advice}" if advice else detail


def _advice(error: ToolcribError) -> str:
    match error:
        case InvalidArguments():
            return "Mend the named fields and call again."
        case UpstreamTimeout():
            return "It may be slow or stuck: try once more, or ask for less."
        case ResultTooLarge():
            return "Ask for less, or for a part of it."
        case UpstreamUnavailable(retry_after_s=None):
            return "Try again later; `toolcrib doctor` says what is wrong."
        case EntryQuarantined():
            return "Only a person can do that."
        case BudgetExceeded() | RateLimited():
            return "Try again later."
        case _:
            return ""


_OURS = frozenset({"detail", "fault", "is_unsent"})
"""What an error holds that is said already, or is no matter of a client's."""


def _facts(error: ToolcribError) -> dict[str, Any]:
    """Take the plain data of an error, in the wire's spelling."""
    facts: dict[str, Any] = {}
    for key, value in vars(error).items():
        shown = list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else [value]
        if key not in _OURS and shown and all(isinstance(one, _PLAIN) for one in shown):
            facts[camel(key)] = shown if isinstance(value, tuple) else shown[0]
    return facts
