"""Tells sound listed objects from malformed ones, one by one: what is wrong is set aside alone.

Objects are passed on as the server sent them. Nothing here knows how they were asked for.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

from toolcrib_registry.types import JsonObject, Malformed
from toolcrib_server.jsonrpc.text import MAX_DEPTH, holds_nul, is_deeper
from toolcrib_server.sdk import load_sdk
from toolcrib_server.upstream.config.secrets import MASK, Redactor
from toolcrib_server.upstream.failures import BadAnswer

from .schemas import SchemaCheck
from .shelves import TOOLS, Shelf, ShelfPages

MAX_OBJECT_BYTES = 1024 * 1024
MAX_LISTING_BYTES = 128 * 1024 * 1024
MAX_NAME_CHARS = 512
WHOLE_LIST = "*"
"""The name under which a list that failed as a whole is set aside."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a reader does not see: controls, bidi marks, surrogates, separators."""
_LONGEST_SHOWN = 80
_FIELD_TYPES: dict[str, type] = {
    "name": str,
    "title": str,
    "description": str,
    "annotations": dict,
    "icons": list,
    "_meta": dict,
    "mimeType": str,
}
_TYPE_WORDS: dict[type, str] = {str: "a string", dict: "an object", list: "a list"}


class Sifting:
    """Tells good objects from bad ones. Runs in a thread: thousands of schemas take a while."""

    def __init__(self, check: SchemaCheck, redact: Redactor, *, modern: bool) -> None:
        self._check = check
        self._redact = redact
        self._modern = modern
        self._size = 0
        self.malformed: list[Malformed] = []

    def sift(self, shelf: Shelf, pages: ShelfPages) -> tuple[JsonObject, ...]:
        """Return the sound objects of one list; the others are added to ``malformed``.

        Raises:
            BadAnswer: All that was listed is too large.
        """
        if pages.failure is not None:
            self._set_aside(shelf, WHOLE_LIST, pages.failure)
        kept: dict[str, JsonObject] = {}
        for at, sent in enumerate(pages.objects):
            listed = self._mask(sent)
            fault = self._find_fault(listed, shelf)
            if fault is None:
                identity = listed[shelf.identity]
                if identity not in kept:
                    kept[identity] = listed
                    continue
                fault = f"the {shelf.identity} was listed before; the first one is kept"
            self._set_aside(shelf, _shown_name(listed, shelf, at), fault)
        return tuple(kept.values())

    def _mask(self, sent: Any) -> Any:
        # What nests too deeply is set aside; its name alone is kept of it.
        is_flat = self._redact.has_secrets and not is_deeper(sent, MAX_DEPTH)
        return self._redact.mask_all(sent) if is_flat else sent

    def _set_aside(self, shelf: Shelf, name: str, fault: str) -> None:
        reason = self._redact.mask_all(fault)
        self.malformed.append(Malformed(shelf.kind, self._redact.mask_all(name), reason))

    def _find_fault(self, listed: object, shelf: Shelf) -> str | None:
        if not isinstance(listed, dict):
            return "is not an object"
        known = cast("dict[str, Any]", listed)
        name = known.get(shelf.identity)
        fault = self._fault_in_size(known) or self._fault_in_name(name, shelf)
        fault = fault or _fault_in_fields(known)
        if fault is None and shelf is TOOLS:
            fault = self._fault_in_schemas(known)
        if fault is None and is_deeper(known, MAX_DEPTH):
            return "is nested too deeply"
        return fault

    def _fault_in_size(self, listed: Mapping[str, Any]) -> str | None:
        try:
            encoded = _encode(listed)
        except RecursionError:
            return "is nested too deeply"
        except UnicodeEncodeError:
            return "holds text that is not Unicode"
        except ValueError:
            return "holds a number that is not JSON"
        self._size += len(encoded)
        if self._size > MAX_LISTING_BYTES:
            raise BadAnswer(f"lists more than {MAX_LISTING_BYTES} bytes")
        if len(encoded) > MAX_OBJECT_BYTES:
            return f"is {len(encoded)} bytes large; the limit is {MAX_OBJECT_BYTES}"
        return "holds a NUL character" if holds_nul(encoded) else None

    def _fault_in_name(self, name: object, shelf: Shelf) -> str | None:
        if self._redact.has_secrets and isinstance(name, str) and MASK in name:
            return f"its {shelf.identity} holds a secret that the server was given"
        return _fault_in_name(name, shelf)

    def _fault_in_schemas(self, tool: Mapping[str, Any]) -> str | None:
        load_sdk()
        from mcp.shared.inbound import find_invalid_x_mcp_header  # noqa: PLC0415  # slow: see `sdk`

        schema = tool.get("inputSchema")
        if not isinstance(schema, dict):
            return "inputSchema is missing or not an object"
        arguments = cast("dict[str, Any]", schema)
        if arguments.get("type", "object") != "object":
            return "inputSchema does not describe an object"
        for key in ("inputSchema", "outputSchema"):
            described = tool.get(key)
            if described is not None:
                fault = self._check.find_fault(described, _encode(described))
                if fault is not None:
                    return f"{key} {fault}"
        invalid = find_invalid_x_mcp_header(arguments) if self._modern else None
        return f"inputSchema has an invalid x-mcp-header: {invalid}" if invalid else None


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _fault_in_name(name: object, shelf: Shelf) -> str | None:
    if not isinstance(name, str) or not name.strip():
        return f"has no {shelf.identity}"
    if len(name) > MAX_NAME_CHARS and shelf.identity == "name":
        return f"its name is {len(name)} characters long; the limit is {MAX_NAME_CHARS}"
    hidden = next((c for c in name if unicodedata.category(c) in _HIDDEN), None)
    if hidden is not None:
        return f"its {shelf.identity} holds an invisible character (U+{ord(hidden):04X})"
    return None


def _fault_in_fields(listed: Mapping[str, Any]) -> str | None:
    for key, kind in _FIELD_TYPES.items():
        value = listed.get(key)
        if value is not None and not isinstance(value, kind):
            return f"{key} is not {_TYPE_WORDS[kind]}"
    return None


def _shown_name(listed: object, shelf: Shelf, at: int) -> str:
    name = cast("dict[str, Any]", listed).get(shelf.identity) if isinstance(listed, dict) else None
    return show_name(name) if isinstance(name, str) and name else f"#{at + 1}"


def show_name(name: str) -> str:
    """Name a bad object so that it can be stored and shown, whatever it is called."""
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _HIDDEN else character
        for character in name[:_LONGEST_SHOWN]
    )
