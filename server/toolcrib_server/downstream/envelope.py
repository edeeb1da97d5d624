"""The envelope of a request since 2026-07-28: version, client and capabilities in its ``_meta``.

Also which era a message belongs to, for a server that speaks both. Knows no transport; see
`headers` for what HTTP adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.jsonrpc import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from toolcrib_registry.types import JsonObject

from .messages import Call, Id, Note
from .service import Client, RpcError

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
NOT_MODERN = frozenset(
    {
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    }
)
"""Requests that 2026-07-28 has no more."""

_TOKEN = "progressToken"  # noqa: S105  # names a request, opens nothing
_OF_THE_HOP = frozenset(
    {
        PROTOCOL_VERSION_META_KEY,
        CLIENT_INFO_META_KEY,
        CLIENT_CAPABILITIES_META_KEY,
        LOG_LEVEL_META_KEY,
        _TOKEN,
    }
)
_MOST_VERSION_CHARS = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A request out of its envelope."""

    client: Client
    params: JsonObject
    """Without what concerned the client's own hop."""
    token: Id | None
    """What to name in progress; None: nobody wants to hear of it."""


def is_modern(message: Call | Note, header: str | None) -> bool:
    """Whether a message is of 2026-07-28 or later, going by its ``_meta`` and the version header.

    An unknown version is modern too: there it is told which ones there are.
    """
    meta = message.params.get("_meta")
    if isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta:
        return True
    return header is not None and header not in HANDSHAKE_PROTOCOL_VERSIONS


def read_meta(call: Call | Note) -> Mapping[str, Any]:
    """Return the ``_meta`` of a modern request, with everything in it that has to be.

    Raises:
        RpcError: It is incomplete.
    """
    meta = call.params.get("_meta")
    if not isinstance(meta, dict):
        raise RpcError(
            INVALID_PARAMS,
            f"params._meta must be an object with {PROTOCOL_VERSION_META_KEY!r} and "
            f"{CLIENT_CAPABILITIES_META_KEY!r}.",
        )
    known = cast("Mapping[str, Any]", meta)
    needed = (PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY)
    missing = [key for key in needed if key not in known]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {', '.join(missing)}.")
    return known


def open_envelope(call: Call, meta: Mapping[str, Any], *, principal: str) -> Opened:
    """Take a request out of its envelope; see `read_meta`.

    Raises:
        RpcError: The version is not spoken here, or something has the wrong shape.
    """
    return Opened(client_of(meta, principal=principal), strip(call.params), token_of(call.params))


def client_of(meta: Mapping[str, Any], *, principal: str) -> Client:
    """Say who asks.

    Raises:
        RpcError: The version is not spoken here, or something has the wrong shape.
    """
    return Client(
        principal=principal,
        version=_version(meta[PROTOCOL_VERSION_META_KEY]),
        capabilities=_object(meta, CLIENT_CAPABILITIES_META_KEY),
        info=_object(meta, CLIENT_INFO_META_KEY) if CLIENT_INFO_META_KEY in meta else {},
        log_level=read_level(meta[LOG_LEVEL_META_KEY]) if LOG_LEVEL_META_KEY in meta else None,
    )


def _version(version: object) -> str:
    if not isinstance(version, str):
        raise RpcError(INVALID_PARAMS, f"{PROTOCOL_VERSION_META_KEY} must be a text.")
    refuse_unknown_version(version)
    return version


def refuse_unknown_version(version: str) -> None:
    """Refuse a version that is not one of the modern ones.

    Raises:
        RpcError: It names those there are.
    """
    if version not in MODERN_PROTOCOL_VERSIONS:
        data = {
            "supported": list(MODERN_PROTOCOL_VERSIONS),
            "requested": version[:_MOST_VERSION_CHARS],
        }
        raise RpcError(UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)


def _object(meta: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = meta[key]
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, f"{key} must be an object.")
    return cast("dict[str, Any]", value)


def read_level(level: object) -> str:
    """Narrow a log level.

    Raises:
        RpcError: There is no such level.
    """
    if isinstance(level, str) and level in LOG_LEVELS:
        return level
    raise RpcError(INVALID_PARAMS, f"The log level must be one of {', '.join(LOG_LEVELS)}.")


def is_loud_enough(params: JsonObject, wanted: str | None) -> bool:
    """Whether a log message is at or above the wanted level; none is if none is wanted."""
    level = params.get("level")
    if wanted is None:
        return False
    # An unknown level is nothing that could be held against another: it passes.
    return level not in LOG_LEVELS or LOG_LEVELS.index(level) >= LOG_LEVELS.index(wanted)


def token_of(params: JsonObject) -> Id | None:
    """Return the progress token, if there is one.

    Raises:
        RpcError: It can be none.
    """
    meta = params.get("_meta")
    token = cast("dict[str, Any]", meta).get(_TOKEN) if isinstance(meta, dict) else None
    if token is None or (isinstance(token, (str, int)) and not isinstance(token, bool)):
        return token
    raise RpcError(INVALID_PARAMS, "The progress token must be a text or an integer.")


def strip(params: JsonObject) -> JsonObject:
    """Return parameters without what of their ``_meta`` concerns the client's own hop."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        return params
    known = cast("dict[str, Any]", meta)
    left = {key: value for key, value in known.items() if key not in _OF_THE_HOP}
    stripped = {**params, "_meta": left}
    if not left:
        del stripped["_meta"]
    return stripped
