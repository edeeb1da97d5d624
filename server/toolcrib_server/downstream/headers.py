"""The headers of an MCP request, and whether those that mirror the body agree with it.

Anything between client and server may act on the headers alone, so a request that says one thing
there and another in its body is refused (2026-07-28, Streamable HTTP, "Server Validation").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from mcp_types.jsonrpc import HEADER_MISMATCH

from toolcrib_registry.types import JsonObject
from toolcrib_server.sdk import load_sdk

from .messages import Call
from .service import RpcError

_KEPT = frozenset(
    {
        b"accept",
        b"content-type",
        b"last-event-id",
        b"mcp-method",
        b"mcp-name",
        b"mcp-protocol-version",
        b"mcp-session-id",
    }
)
_ROUTING = {b"mcp-method": "Mcp-Method", b"mcp-name": "Mcp-Name"} | {
    b"mcp-protocol-version": "MCP-Protocol-Version"
}
_PARAM_PREFIX = b"mcp-param-"
_BLANK = b" \t"
"""Around a value it is no part of it (RFC 9110, 5.5), and not every server takes it off."""
_MOST_SCHEMAS = 512


class Headers:
    """What of a request's headers concerns MCP."""

    __slots__ = ("_fields", "doubled", "mirrored")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[bytes, bytes] = {}
        self.mirrored: list[tuple[str, str]] = []
        """The ``Mcp-Param-*`` headers."""
        self.doubled: str | None = None
        """A header that routes and came twice: readers of the first and the last would differ."""
        for name, value in raw:
            if name in _KEPT:
                if name in self._fields and name in _ROUTING:
                    self.doubled = _ROUTING[name]
                self._fields[name] = value.strip(_BLANK)
            elif name.startswith(_PARAM_PREFIX):
                self.mirrored.append(
                    (name.decode("latin-1"), value.strip(_BLANK).decode("latin-1"))
                )

    def get(self, name: bytes) -> str | None:
        """Return a header's value, by its lower-case name."""
        value = self._fields.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def version(self) -> str | None:
        """The protocol version that is claimed."""
        return self.get(b"mcp-protocol-version")

    @property
    def bears_json(self) -> bool:
        """Whether the body is said to be JSON. A web page can send anything else unasked."""
        kind = self._fields.get(b"content-type", b"")
        return kind == b"application/json" or (
            kind.split(b";")[0].strip().lower() == b"application/json"
        )

    def accepted(self) -> tuple[bool, bool]:
        """Whether the client takes JSON, and event streams."""
        accept = self._fields.get(b"accept")
        if accept is None:
            return True, True
        if accept == b"application/json, text/event-stream":
            return True, True
        kinds = {part.split(b";")[0].strip().lower() for part in accept.split(b",")}
        everything = b"*/*" in kinds
        return (
            everything or not kinds.isdisjoint({b"application/json", b"application/*"}),
            everything or not kinds.isdisjoint({b"text/event-stream", b"text/*"}),
        )


def check_agreement(headers: Headers, call: Call, version: object) -> None:
    """Hold the standard headers against the body.

    Raises:
        RpcError: They differ, or one is missing.
    """
    load_sdk()
    from mcp.shared.inbound import (  # noqa: PLC0415  # slow, and for HTTP alone
        NAME_BEARING_METHODS,
        decode_header_value,
    )

    if headers.doubled:
        raise _mismatch(f"{headers.doubled} appears more than once")
    _hold("MCP-Protocol-Version", headers.version, version)
    _hold("Mcp-Method", headers.get(b"mcp-method"), call.method)
    key = NAME_BEARING_METHODS.get(call.method)
    if key is not None:
        shown = headers.get(b"mcp-name")
        if call.params.get(key) is not None or shown is not None:
            _hold("Mcp-Name", decode_header_value(shown), call.params.get(key), shown=shown)


def _hold(name: str, value: str | None, body: object, *, shown: str | None = None) -> None:
    if value is None and shown is None:
        raise _mismatch(f"the {name} header is missing")
    if value != body:
        said = str(shown if value is None else value)[:100]
        raise _mismatch(f"{name} header value {said!r} does not match the body's {_short(body)}")


def _short(value: object) -> str:
    return repr(value[:100] if isinstance(value, str) else type(value).__name__)


def _mismatch(what: str) -> RpcError:
    return RpcError(HEADER_MISMATCH, f"Header mismatch: {what}")


class Mirrors:
    """Holds ``Mcp-Param-*`` headers against the arguments they mirror.

    Remembers which schemas mirror nothing: to find out takes a walk through all of a schema.
    """

    def __init__(self) -> None:
        self._plain: dict[int, Mapping[str, Any]] = {}

    def check(self, headers: Headers, call: Call, schema: Mapping[str, Any] | None) -> None:
        """Check a ``tools/call``.

        Raises:
            RpcError: A header is missing, too much, or differs.
        """
        load_sdk()
        from mcp.shared.inbound import validate_mcp_param_headers  # noqa: PLC0415  # slow

        arguments = call.params.get("arguments", {})
        if schema is None or not isinstance(arguments, dict) or self._mirrors_nothing(schema):
            return
        _check_doubled(headers.mirrored)
        known = cast("JsonObject", arguments)
        fault = validate_mcp_param_headers(schema, known, dict(headers.mirrored))
        if fault is not None:
            raise RpcError(fault.code, fault.message, fault.data)

    def _mirrors_nothing(self, schema: Mapping[str, Any]) -> bool:
        if self._plain.get(id(schema)) is schema:
            return True
        if _mentions_header(schema):
            return False
        if len(self._plain) >= _MOST_SCHEMAS:
            self._plain.clear()
        self._plain[id(schema)] = schema  # kept alive, so that its id stays its own
        return True


def _mentions_header(schema: object) -> bool:
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            known = cast("dict[str, object]", each)
            if "x-mcp-header" in known:
                return True
            waiting += known.values()
        elif isinstance(each, list):
            waiting += cast("list[object]", each)
    return False


def _check_doubled(mirrored: list[tuple[str, str]]) -> None:
    names = [name for name, _ in mirrored]
    if len(set(names)) != len(names):
        raise _mismatch("an Mcp-Param header appears more than once")
