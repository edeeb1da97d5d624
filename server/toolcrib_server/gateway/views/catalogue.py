"""The views that are served: found by name, resolved once for each state of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from toolcrib_registry.errors import NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, canonical_json, hash_content
from toolcrib_server.gateway.handlers import MetaTools
from toolcrib_server.gateway.holdings import read_holdings
from toolcrib_server.gateway.lens import Lens
from toolcrib_server.gateway.service import Reach
from toolcrib_server.gateway.sources import Links
from toolcrib_server.relay.news import PROMPTS, RESOURCES, TOOLS
from toolcrib_server.views.resolving import Resolved, Resolver

from .definitions import instructions_of, searching_tools
from .lens import ViewLens
from .scope import Held, Look, Scope

MakeMeta = Callable[[Lens, Links], MetaTools]
"""Makes the meta-tools for what is seen through a lens; links that tools give out are noted."""
MakeScope = Callable[[Look], Scope]
"""Makes what answers for a view beside its tools."""


@dataclass(frozen=True, slots=True)
class Served:
    """A view as it is served now."""

    resolved: Resolved
    held: Held
    meta: MetaTools
    scope: Scope
    tools: tuple[JsonObject, ...]
    """What a client is shown, in order."""
    instructions: str
    digest: str
    """Of the list: an equal one is the same list, byte for byte."""
    schemas: Mapping[str, Mapping[str, Any]] = field(repr=False)


class Views:
    """Every view, as it is now."""

    def __init__(
        self,
        store: Store,
        resolver: Resolver,
        *,
        make_meta: MakeMeta,
        make_scope: MakeScope,
        reach: Reach,
        version: str,
    ) -> None:
        """``reach`` are the servers themselves."""
        self.reach = reach
        self.version = version
        self._store = store
        self._resolver = resolver
        self._make_meta = make_meta
        self._make_scope = make_scope
        self._served: dict[str, tuple[int, Served]] = {}
        self._turns: dict[str, anyio.Lock] = {}
        self._scopes: dict[str, Scope] = {}
        self._state = 0
        self._changed = anyio.Event()

    async def current(self, name: str) -> Served:
        """Give a view as it is now; asks the registry only after a change.

        Raises:
            NotFound: There is none of that name; near names are offered.
        """
        known = self._served.get(name)
        if known is not None and known[0] == self._state:
            return known[1]
        # One look for all that ask at once.
        async with self._turns.setdefault(name, anyio.Lock()):
            known = self._served.get(name)
            if known is None or known[0] != self._state:
                known = (self._state, await self._read(name, known and known[1]))
                self._served[name] = known
            return known[1]

    def peek(self, name: str) -> Served | None:
        """Give a view as it was when it was last asked for, at no cost."""
        known = self._served.get(name)
        return known and known[1]

    async def renew(self) -> None:
        """Look again, when next asked: the registry has changed."""
        self._state += 1
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def next_change(self) -> anyio.Event:
        """Set when the registry has changed after now."""
        return self._changed

    async def _read(self, name: str, before: Served | None) -> Served:
        scope = self._scopes.get(name) or self._make_scope(partial(self._held, name))
        try:
            read = partial(self._resolve, name, scope, before)
            served = await anyio.to_thread.run_sync(read)
        except NotFound:
            for kept in (self._served, self._turns, self._scopes):
                kept.pop(name, None)
            raise
        self._scopes[name] = scope
        if before is not None:
            scope.news.tell(_changed(before, served))
        return served

    async def _held(self, name: str) -> Held:
        return (await self.current(name)).held

    # --- in a worker thread --------------------------------------------------------------------

    def _resolve(self, name: str, scope: Scope, before: Served | None) -> Served:
        view = self._store.views.get(name)
        resolved = self._resolver.resolve(view, before=before and before.resolved)
        if before is not None and resolved is before.resolved:
            return before
        return self._serve(resolved, scope)

    def _serve(self, resolved: Resolved, scope: Scope) -> Served:
        meta = self._make_meta(ViewLens(resolved, self._store), scope.links)
        searching = searching_tools(resolved) if resolved.searches else ()
        meta.define(searching)
        tools = (*searching, *resolved.listed)
        return Served(
            resolved,
            self._hold(resolved),
            meta,
            scope,
            tools,
            instructions_of(resolved),
            hash_content([canonical_json(tool) for tool in tools]),
            {str(tool["name"]): tool.get("inputSchema") or {} for tool in tools},
        )

    def _hold(self, resolved: Resolved) -> Held:
        others = [one for one in resolved.members if one.kind is not EntryKind.TOOL]
        used = (*resolved.others, *(tool.member for tool in resolved.tools.values()))
        holdings = read_holdings(self._store, only=[one.id for one in others])
        return Held(holdings, self._store.find_servers(sorted({one.server for one in used})))


def _changed(before: Served, now: Served) -> set[str]:
    """Name the lists that are not what they were."""
    was, is_now = before.held.holdings, now.held.holdings
    changed = {TOOLS} if before.digest != now.digest else set[str]()
    if was.prompts != is_now.prompts:
        changed.add(PROMPTS)
    if (was.resources, was.templates) != (is_now.resources, is_now.templates):
        changed.add(RESOURCES)
    return changed
