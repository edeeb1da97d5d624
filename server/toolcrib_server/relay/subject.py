"""What a request of a client's is about, as far as the registry may have a word in it. Pure."""

from __future__ import annotations

from typing import Any, cast

from mcp_types import INVALID_PARAMS

from toolcrib_registry.types import EntryKind, JsonObject
from toolcrib_server.downstream.service import Request, RpcError
from toolcrib_server.invocation.results.shelf import PREFIX


def find_subject(request: Request) -> tuple[EntryKind, str] | None:
    """Name the entry that a request is about, as its server names it, if it is about one.

    Raises:
        RpcError: It is, and does not say about which.
    """
    params = request.params
    match request.method:
        case "tools/call":
            _refuse_odd_arguments(params.get("arguments"))
            return EntryKind.TOOL, required_text(params, "name")
        case "prompts/get":
            return EntryKind.PROMPT, required_text(params, "name")
        case "resources/read" | "resources/subscribe" | "resources/unsubscribe":
            uri = required_text(params, "uri")
            # The rest of a result that was cut is ours, and no entry of anybody's.
            return None if uri.startswith(PREFIX) else (EntryKind.RESOURCE, uri)
        case "completion/complete":
            return _reference(params.get("ref"))
        case _:
            return None


def _refuse_odd_arguments(arguments: object) -> None:
    if arguments is not None and not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "'arguments' must be an object.")


def required_text(params: JsonObject, key: str) -> str:
    """Read a parameter that must be there, and be text.

    Raises:
        RpcError: It is not.
    """
    value = params.get(key)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{key!r} must be a text that is not empty.")
    return value


def _reference(ref: object) -> tuple[EntryKind, str] | None:
    known = cast("dict[str, Any]", ref) if isinstance(ref, dict) else {}
    match known.get("type"):
        case "ref/prompt":
            return EntryKind.PROMPT, required_text(known, "name")
        case "ref/resource":
            return EntryKind.RESOURCE, required_text(known, "uri")
        case _:
            return None
