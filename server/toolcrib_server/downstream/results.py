"""Results as each era has them: what the specification requires is completed, nothing is lost."""

from __future__ import annotations

from typing import Any, cast

from mcp_types import SERVER_INFO_META_KEY
from mcp_types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from toolcrib_registry.types import JsonObject

from .service import RpcError

_CACHEABLE = frozenset(
    {
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        "tools/list",
    }
)
_RESOURCE_NOT_FOUND = -32002
"""What it was before 2026-07-28, which forbids to send it."""
_UNNAMED = {"name": "toolcrib", "version": "0"}


def complete(method: str, result: JsonObject) -> JsonObject:
    """Give a result of 2026-07-28 what it must have and its maker left out."""
    kind = result.get("resultType", "complete")
    if method not in _CACHEABLE or kind != "complete":
        return result if "resultType" in result else {**result, "resultType": "complete"}
    return {**result, "resultType": kind, "ttlMs": _ttl(result), "cacheScope": _scope(result)}


def _ttl(result: JsonObject) -> int:
    ttl = result.get("ttlMs")
    known = isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl >= 0
    return int(cast("int", ttl)) if known else 0


def _scope(result: JsonObject) -> str:
    return "public" if result.get("cacheScope") == "public" else "private"


def discovery(described: JsonObject) -> JsonObject:
    """Make the result of ``server/discover`` of what a service says of itself."""
    result: dict[str, Any] = {**described, "supportedVersions": list(MODERN_PROTOCOL_VERSIONS)}
    info = result.pop("serverInfo", None)
    if info is not None:
        meta = cast("dict[str, Any]", result.get("_meta") or {})
        result["_meta"] = {**meta, SERVER_INFO_META_KEY: info}
    return complete("server/discover", result)


def initialization(described: JsonObject, version: str) -> JsonObject:
    """Make the result of ``initialize`` of what a service says of itself."""
    meta = dict(cast("dict[str, Any]", described.get("_meta") or {}))
    told = meta.pop(SERVER_INFO_META_KEY, None)
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": described.get("capabilities") or {},
        "serverInfo": described.get("serverInfo") or told or _UNNAMED,
    }
    if described.get("instructions"):
        result["instructions"] = described["instructions"]
    return {**result, "_meta": meta} if meta else result


def negotiate(params: JsonObject) -> str:
    """Choose the version of a handshake: the client's, or the latest of ours.

    Raises:
        RpcError: The client asks for none.
    """
    wanted = params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "'protocolVersion' must be a text.")
    return wanted if wanted in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION


def of_the_handshake(result: JsonObject) -> JsonObject:
    """Take from a result what its receiver could not know and need not."""
    if result.get("resultType") != "complete":
        return result
    return {key: value for key, value in result.items() if key != "resultType"}


def modern_error(error: RpcError) -> RpcError:
    """Give an error the code that 2026-07-28 has for it."""
    if error.code != _RESOURCE_NOT_FOUND:
        return error
    return RpcError(INVALID_PARAMS, error.message, error.data)


def unknown_method(method: str) -> RpcError:
    """Say that there is no such method."""
    return RpcError(METHOD_NOT_FOUND, f"Method not found: {method[:100]}")
