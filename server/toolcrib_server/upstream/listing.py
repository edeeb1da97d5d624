"""Everything a server lists, all pages, object by object: what is malformed is set aside alone.

Objects are passed on as the server sent them. Nothing here knows how a request travels.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio.to_thread
from mcp.shared.inbound import find_invalid_x_mcp_header

from toolcrib_registry.types import EntryKind, JsonObject, Quarantined

from .decoding import MAX_DEPTH, holds_nul, is_deeper
from .era import Greeting
from .failures import BadAnswer, RpcFailure, TooDeep
from .rpc import METHOD_NOT_FOUND
from .schemas import SchemaCheck
from .secrets import MASK, Redactor

MAX_PAGES = 1000
MAX_OBJECTS = 20_000
MAX_OBJECT_BYTES = 1024 * 1024
MAX_LISTING_BYTES = 128 * 1024 * 1024
MAX_NAME_CHARS = 512
WHOLE_LIST = "*"
"""The name under which a list that failed as a whole is set aside."""

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Sends (method, params) and returns the raw result."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a reader does not see: controls, bidi marks, surrogates, separators."""
_LONGEST_SHOWN = 80
_LONGEST_TTL_MS = 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a server lists, and what it said of itself."""

    tools: tuple[JsonObject, ...] = ()
    prompts: tuple[JsonObject, ...] = ()
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    ttl_ms: int | None = None
    """How long the server says the lists stay true; the shortest of them."""

    @property
    def failed_kinds(self) -> frozenset[EntryKind]:
        """Kinds that the server offers but failed to list."""
        return frozenset(aside.kind for aside in self.quarantined if aside.name == WHOLE_LIST)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """One of the lists a server may offer."""

    capability: str
    method: str
    key: str
    kind: EntryKind
    identity: str
    """The field that tells its objects apart."""


_TOOLS = _Shelf("tools", "tools/list", "tools", EntryKind.TOOL, "name")
_PROMPTS = _Shelf("prompts", "prompts/list", "prompts", EntryKind.PROMPT, "name")
_RESOURCES = _Shelf("resources", "resources/list", "resources", EntryKind.RESOURCE, "uri")
_TEMPLATES = _Shelf(
    "resources",
    "resources/templates/list",
    "resourceTemplates",
    EntryKind.RESOURCE,
    "uriTemplate",
)
_SHELVES = (_TOOLS, _PROMPTS, _RESOURCES, _TEMPLATES)
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


@dataclass(slots=True)
class _Pages:
    """What came of one list."""

    objects: list[Any] = field(default_factory=list[Any])
    ttl_ms: int | None = None
    failure: str | None = None


async def read_listing(
    ask: Ask, greeting: Greeting, *, check: SchemaCheck, redact: Redactor | None = None
) -> Listing:
    """Read every list the server has; ``redact`` masks the secrets that it was given.

    Raises:
        LinkFailure: The tools cannot be listed, or a list never ends or is too large.
    """
    pages: dict[_Shelf, _Pages] = {}
    for shelf in _SHELVES:
        if _offers(greeting, shelf):
            pages[shelf] = await _read_shelf(ask, shelf)
    mask = redact or Redactor(())
    sifting = _Sifting(check, mask, modern=greeting.is_modern)
    kept = {
        shelf: await anyio.to_thread.run_sync(sifting.sift, shelf, read)
        for shelf, read in pages.items()
    }
    ttls = [read.ttl_ms for read in pages.values() if read.ttl_ms is not None]
    return Listing(
        tools=kept.get(_TOOLS, ()),
        prompts=kept.get(_PROMPTS, ()),
        resources=kept.get(_RESOURCES, ()),
        templates=kept.get(_TEMPLATES, ()),
        quarantined=tuple(sifting.quarantined),
        protocol_version=greeting.protocol_version,
        reported_name=mask.mask_all(greeting.name),
        reported_version=mask.mask_all(greeting.version),
        instructions=mask.mask_all(greeting.instructions),
        ttl_ms=min(ttls, default=None),
    )


def _offers(greeting: Greeting, shelf: _Shelf) -> bool:
    declared = [each.capability for each in _SHELVES if each.capability in greeting.capabilities]
    # A server that declares nothing at all has most likely just left it out.
    return shelf.capability in declared or (not declared and shelf is _TOOLS)


async def _read_shelf(ask: Ask, shelf: _Shelf) -> _Pages:
    try:
        return await _read_pages(ask, shelf)
    except RpcFailure as failure:
        if failure.code == METHOD_NOT_FOUND:
            return _Pages()
        if shelf is _TOOLS:
            raise
        # Tools must not become unusable because, say, resources need a login.
        return _Pages(failure=f"{shelf.method} failed: {failure.message} ({failure.code})")


async def _read_pages(ask: Ask, shelf: _Shelf) -> _Pages:
    pages = _Pages()
    seen: set[str] = set()
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        result = await _ask(ask, shelf.method, params)
        cursor = _take_page(pages, result, shelf)
        if cursor is None:
            return pages
        if cursor in seen:
            raise BadAnswer(f"repeats a cursor in {shelf.method}, so that the list never ends")
        seen.add(cursor)
        params = {"cursor": cursor}
    raise BadAnswer(f"has more than {MAX_PAGES} pages in {shelf.method}")


async def _ask(ask: Ask, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return await ask(method, params)
    except TooDeep as failure:
        if failure.result is None:
            raise
        return failure.result  # each object of the list is judged by itself


def _take_page(pages: _Pages, result: Mapping[str, Any], shelf: _Shelf) -> str | None:
    objects = result.get(shelf.key)
    if not isinstance(objects, list):
        raise BadAnswer(f"answered {shelf.method} without a list of {shelf.key}")
    pages.objects += cast("list[Any]", objects)
    if len(pages.objects) > MAX_OBJECTS:
        raise BadAnswer(f"lists more than {MAX_OBJECTS} {shelf.key}")
    ttl = result.get("ttlMs")
    if isinstance(ttl, (int, float)) and not isinstance(ttl, bool):
        ttl_ms = int(max(0, min(_LONGEST_TTL_MS, ttl)))
        pages.ttl_ms = ttl_ms if pages.ttl_ms is None else min(ttl_ms, pages.ttl_ms)
    cursor = result.get("nextCursor")
    if cursor is not None and not isinstance(cursor, str):
        raise BadAnswer(f"gave a cursor that is no string in {shelf.method}")
    return cursor or None


class _Sifting:
    """Tells good objects from bad ones. Runs in a thread: thousands of schemas take a while."""

    def __init__(self, check: SchemaCheck, redact: Redactor, *, modern: bool) -> None:
        self._check = check
        self._redact = redact
        self._modern = modern
        self._size = 0
        self.quarantined: list[Quarantined] = []

    def sift(self, shelf: _Shelf, pages: _Pages) -> tuple[JsonObject, ...]:
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

    def _set_aside(self, shelf: _Shelf, name: str, fault: str) -> None:
        reason = self._redact.mask_all(fault)
        self.quarantined.append(Quarantined(shelf.kind, self._redact.mask_all(name), reason))

    def _find_fault(self, listed: object, shelf: _Shelf) -> str | None:
        if not isinstance(listed, dict):
            return "is not an object"
        known = cast("dict[str, Any]", listed)
        name = known.get(shelf.identity)
        fault = self._fault_in_size(known) or self._fault_in_name(name, shelf)
        fault = fault or _fault_in_fields(known)
        if fault is None and shelf is _TOOLS:
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

    def _fault_in_name(self, name: object, shelf: _Shelf) -> str | None:
        if self._redact.has_secrets and isinstance(name, str) and MASK in name:
            return f"its {shelf.identity} holds a secret that the server was given"
        return _fault_in_name(name, shelf)

    def _fault_in_schemas(self, tool: Mapping[str, Any]) -> str | None:
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


def _fault_in_name(name: object, shelf: _Shelf) -> str | None:
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


def _shown_name(listed: object, shelf: _Shelf, at: int) -> str:
    """Name a bad object so that it can be stored and shown, whatever it is called."""
    name = cast("dict[str, Any]", listed).get(shelf.identity) if isinstance(listed, dict) else None
    if not isinstance(name, str) or not name:
        return f"#{at + 1}"
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _HIDDEN else character
        for character in name[:_LONGEST_SHOWN]
    )
