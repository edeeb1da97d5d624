"""The lists a server may offer, read to their last page: raw objects, and how long they stay true.

Judges no object and knows no transport. Follows "Caching" and "Pagination" of MCP 2026-07-28.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from mcp_types import INVALID_PARAMS

from toolcrib_registry.types import EntryKind
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.failures import BadAnswer, RpcFailure, TooDeep
from toolcrib_server.upstream.messages.rpc import METHOD_NOT_FOUND

MAX_PAGES = 1000
MAX_OBJECTS = 20_000
LONGEST_TTL_MS = 7 * 24 * 3_600_000
"""No list is taken for fresh for longer, whatever its server says."""

Ask = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Sends (method, params) and returns the raw result."""


class CacheScope(StrEnum):
    """Who may be shown a list that was kept."""

    PUBLIC = "public"
    PRIVATE = "private"
    """Only who presents the credentials that it was listed with."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One of the lists a server may offer."""

    capability: str
    method: str
    key: str
    kind: EntryKind
    identity: str
    """The field that tells its objects apart."""


TOOLS = Shelf("tools", "tools/list", "tools", EntryKind.TOOL, "name")
PROMPTS = Shelf("prompts", "prompts/list", "prompts", EntryKind.PROMPT, "name")
RESOURCES = Shelf("resources", "resources/list", "resources", EntryKind.RESOURCE, "uri")
TEMPLATES = Shelf(
    "resources",
    "resources/templates/list",
    "resourceTemplates",
    EntryKind.RESOURCE,
    "uriTemplate",
)
SHELVES = (TOOLS, PROMPTS, RESOURCES, TEMPLATES)


@dataclass(slots=True)
class ShelfPages:
    """What came of one list."""

    objects: list[Any] = field(default_factory=list[Any])
    ttl_ms: int | None = None
    """The shortest of its pages'."""
    scopes: set[CacheScope | None] = field(default_factory=set[CacheScope | None])
    failure: str | None = None


Pages = Mapping[Shelf, ShelfPages]
"""Everything that was listed, raw; lists that the server does not offer are left out."""


async def read_shelves(ask: Ask, greeting: Greeting) -> Pages:
    """Read every list the server has.

    Raises:
        LinkFailure: The tools cannot be listed, or a list never ends.
    """
    return {
        shelf: await _read_shelf(ask, shelf, modern=greeting.is_modern)
        for shelf in SHELVES
        if _offers(greeting, shelf)
    }


def shortest_ttl_ms(pages: Pages) -> int | None:
    """How long all of it stays true, in ms; None when the server does not say."""
    stated = [read.ttl_ms for read in pages.values() if read.ttl_ms is not None]
    return min(stated, default=None)


def narrowest_scope(pages: Pages) -> str | None:
    """Say who may be shown the lists: private if any page is; None when it was left open."""
    scopes: set[CacheScope | None] = {scope for read in pages.values() for scope in read.scopes}
    if CacheScope.PRIVATE in scopes:
        return CacheScope.PRIVATE.value
    return CacheScope.PUBLIC.value if scopes == {CacheScope.PUBLIC} else None


def read_ttl_ms(stated: object) -> int | None:
    """Narrow a ``ttlMs``: negative is 0, no number is None, and none is longer than a week."""
    if isinstance(stated, bool) or not isinstance(stated, (int, float)) or math.isnan(stated):
        return None
    return int(max(0, min(LONGEST_TTL_MS, stated)))


def read_cache_scope(stated: object) -> CacheScope | None:
    """Narrow a ``cacheScope``; a word that is not understood is taken for the stricter one."""
    if stated is None:
        return None
    return CacheScope.PUBLIC if stated == CacheScope.PUBLIC.value else CacheScope.PRIVATE


def _offers(greeting: Greeting, shelf: Shelf) -> bool:
    declared = [each.capability for each in SHELVES if each.capability in greeting.capabilities]
    # A server that declares nothing at all has most likely just left it out.
    return shelf.capability in declared or (not declared and shelf is TOOLS)


async def _read_shelf(ask: Ask, shelf: Shelf, *, modern: bool) -> ShelfPages:
    try:
        return await _read_consistently(ask, shelf, modern=modern)
    except RpcFailure as failure:
        if failure.code == METHOD_NOT_FOUND:
            return ShelfPages()
        if shelf is TOOLS:
            raise
        # Tools must not become unusable because, say, resources need a login.
        return ShelfPages(failure=f"{shelf.method} failed: {failure.message} ({failure.code})")


async def _read_consistently(ask: Ask, shelf: Shelf, *, modern: bool) -> ShelfPages:
    """Read all pages; from the start once more if the server drops a cursor on the way."""
    read = ShelfPages()
    try:
        await _read_pages(read, ask, shelf, modern=modern)
    except RpcFailure as failure:
        if failure.code != INVALID_PARAMS or not read.scopes:  # not on a later page
            raise
        read = ShelfPages()
        await _read_pages(read, ask, shelf, modern=modern)
    return read


async def _read_pages(read: ShelfPages, ask: Ask, shelf: Shelf, *, modern: bool) -> None:
    seen: set[str] = set()
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        result = await _ask(ask, shelf.method, params)
        _take_page(read, result, shelf)
        cursor = _next_cursor(result, shelf, modern=modern)
        if cursor is None:
            return
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


def _take_page(read: ShelfPages, result: Mapping[str, Any], shelf: Shelf) -> None:
    objects = result.get(shelf.key)
    if not isinstance(objects, list):
        raise BadAnswer(f"answered {shelf.method} without a list of {shelf.key}")
    read.objects += cast("list[Any]", objects)
    if len(read.objects) > MAX_OBJECTS:
        raise BadAnswer(f"lists more than {MAX_OBJECTS} {shelf.key}")
    read.ttl_ms = _shorter(read.ttl_ms, read_ttl_ms(result.get("ttlMs")))
    read.scopes.add(read_cache_scope(result.get("cacheScope")))


def _shorter(*stated: int | None) -> int | None:
    return min((ttl for ttl in stated if ttl is not None), default=None)


def _next_cursor(result: Mapping[str, Any], shelf: Shelf, *, modern: bool) -> str | None:
    cursor = result.get("nextCursor")
    if cursor is not None and not isinstance(cursor, str):
        raise BadAnswer(f"gave a cursor that is no string in {shelf.method}")
    # Since 2026-07-28 an empty cursor is one like any other; old servers end their lists with it.
    return cursor if modern else cursor or None


def count_objects(pages: Pages) -> int:
    """How many objects were listed, good and bad."""
    return sum(len(read.objects) for read in pages.values())


def have_failed(pages: Iterable[ShelfPages]) -> bool:
    """Whether any list could not be read."""
    return any(read.failure is not None for read in pages)
