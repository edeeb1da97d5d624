"""Pages of prompts, resources and resource templates, as clients are shown them.

A cursor is the last entry seen, so that a page goes on where the one before ended, whatever has
come or gone in between.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, EntryKind, JsonObject, OwnedEntry, Server
from toolcrib_server.downstream.service import RpcError
from toolcrib_server.selection.brief import reasons_of

from .addresses import address, split_address
from .errors import INVALID_PARAMS
from .holdings import Holdings, Shelf
from .rendering import safe_to_show

SERVER_KEY: Final = "io.toolcrib/server"
"""In ``_meta``: which server a resource is of; clients may send it to say which they mean."""
PAGE_SIZE: Final = 250
LIST_TTL_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class _List:
    """One kind of list: the key of its result, and of its entries' identity."""

    key: str
    identity: str
    kind: EntryKind


LISTS: Final = {
    "prompts/list": _List("prompts", "name", EntryKind.PROMPT),
    "resources/list": _List("resources", "uri", EntryKind.RESOURCE),
    "resources/templates/list": _List("resourceTemplates", "uriTemplate", EntryKind.RESOURCE),
}


MayUse = Callable[[str, Server, OwnedEntry], bool]
"""Whether a principal may use an entry of a server: the rule that its use is held to."""


class Lists:
    """Answers the requests for lists."""

    def __init__(self, store: Store, shelf: Shelf, may_use: MayUse) -> None:
        self._store = store
        self._shelf = shelf
        self._may_use = may_use

    async def page(self, method: str, params: JsonObject, *, principal: str) -> JsonObject:
        """Return a page of what ``principal`` may use.

        Raises:
            RpcError: The cursor is not of this list.
        """
        wanted = LISTS[method]
        holdings = await self._shelf.look()
        ids = _ids_of(holdings, wanted.key)
        start = _start(ids, params.get("cursor"), wanted.kind)
        shown = ids[start : start + PAGE_SIZE]
        entries = await anyio.to_thread.run_sync(self._read, shown)
        result: dict[str, Any] = {
            "resultType": "complete",
            wanted.key: [
                _render(entry, wanted, holdings)
                for entry in entries
                if self._may_use(principal, holdings.servers[entry.server], entry)
            ],
            # Who asks decides what may be used.
            "ttlMs": LIST_TTL_MS,
            "cacheScope": "private",
        }
        if start + PAGE_SIZE < len(ids):
            result["nextCursor"] = shown[-1]
        return result

    def _read(self, ids: Sequence[EntryId]) -> list[OwnedEntry]:
        # Read anew: since the ids were, something may have been set aside.
        found = self._store.get_entries(ids, live=True)
        return [entry for entry in found.values() if isinstance(entry, OwnedEntry)]


def _ids_of(holdings: Holdings, key: str) -> tuple[EntryId, ...]:
    known = {
        "prompts": holdings.prompts,
        "resources": holdings.resources,
        "resourceTemplates": holdings.templates,
    }
    return known[key]


def _start(ids: Sequence[EntryId], cursor: object, kind: EntryKind) -> int:
    if cursor is None:
        return 0
    if not isinstance(cursor, str) or not cursor.startswith(f"{kind.value}:"):
        raise RpcError(INVALID_PARAMS, "Not a cursor of this list: begin again without one.")
    return bisect_right(ids, cursor)


def _render(entry: OwnedEntry, wanted: _List, holdings: Holdings) -> JsonObject:
    """Show an entry as its server listed it, under the name that it has here."""
    definition = entry.definition
    said: dict[str, Any] = {**safe_to_show(definition, reasons_of(entry))}
    if entry.kind is EntryKind.PROMPT:
        return {**said, "name": entry.name}
    meta = {**cast("JsonObject", definition.get("_meta") or {}), SERVER_KEY: entry.server}
    uri = definition[wanted.identity]
    is_one = len(holdings.owners.get(entry.local_name, ())) <= 1 and split_address(uri) is None
    named = uri if is_one else address(entry.server, uri)
    return {**said, wanted.identity: named, "_meta": meta}
