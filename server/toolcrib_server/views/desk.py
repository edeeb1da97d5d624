"""Views as people keep them: saved once they hold, shown as a client will see them.

Every face that changes views comes here; the store alone would take anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import JsonObject, Page, Revision, View

from .checking import check_view
from .resolving import CountTokens, Resolved, Resolver, define, tokens_of

T = TypeVar("T")


def _none(_: Resolved) -> tuple[JsonObject, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client of a view is shown, and what that costs it."""

    resolved: Resolved
    tokens: tuple[int, ...]
    """Of each definition in ``resolved.listed``."""
    meta_tokens: int
    """Of the tools that search the view; 0 where it has none."""
    all_tokens: int
    """Of the definitions of all its tools."""

    @property
    def total_tokens(self) -> int:
        """What a client is shown at once."""
        return sum(self.tokens) + self.meta_tokens


class ViewDesk:
    """Saves, removes and shows views."""

    def __init__(
        self,
        store: Store,
        resolver: Resolver,
        *,
        count_tokens: CountTokens,
        searching_tools: Callable[[Resolved], tuple[JsonObject, ...]] = _none,
        on_change: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """``searching_tools`` defines what searches a view; ``on_change`` hears of each change."""
        self._store = store
        self._resolver = resolver
        self._count_tokens = count_tokens
        self._searching_tools = searching_tools
        self._on_change = on_change

    async def add(self, view: View, *, actor: str) -> View:
        """Add a view and give it back as stored.

        Raises:
            InvalidView: It could not be served as it is written.
            AlreadyExists: The name is taken.
        """
        return await self._write(partial(self._add, view, actor))

    async def put(self, view: View, *, actor: str, seen: Revision | None = None) -> View:
        """Add a view, or replace the one of that name.

        Raises:
            InvalidView: It could not be served as it is written.
            EntryChanged: It is not any more as it was at revision ``seen``.
        """
        return await self._write(partial(self._put, view, actor, seen))

    async def remove(self, name: str, *, actor: str) -> None:
        """Remove a view; its tools stay.

        Raises:
            NotFound: There is no such view; near names are offered.
        """
        await self._write(partial(self._store.views.remove, name, actor=actor))

    async def get(self, name: str) -> View:
        """Get a view.

        Raises:
            NotFound: There is no such view; near names are offered.
        """
        return await _in_thread(partial(self._store.views.get, name))

    async def find(self, name: str) -> View | None:
        """Find a view."""
        return await _in_thread(partial(self._store.views.find, name))

    async def list(self, *, cursor: str | None = None, limit: int = 100) -> Page[View]:
        """List views by name."""
        return await _in_thread(partial(self._store.views.list, cursor=cursor, limit=limit))

    async def resolve(self, view: View) -> Resolved:
        """Find out which tools a view has now, and what of it does not hold any more."""
        return await _in_thread(partial(self._resolver.resolve, view))

    async def show(self, name: str) -> Shown:
        """Say what a client of a view is shown, with the tokens of all its definitions.

        Raises:
            NotFound: There is no such view; near names are offered.
        """
        return await _in_thread(partial(self._show, name))

    # --- in a worker thread --------------------------------------------------------------------

    def _add(self, view: View, actor: str) -> View:
        check_view(view, self._store)
        return self._store.views.add(view, actor=actor)

    def _put(self, view: View, actor: str, seen: Revision | None) -> View:
        check_view(view, self._store, stored=self._store.views.find(view.name))
        return self._store.views.put(view, actor=actor, seen=seen)

    def _show(self, name: str) -> Shown:
        resolved = self._resolver.resolve(self._store.views.get(name))
        meta = self._searching_tools(resolved) if resolved.searches else ()
        tokens = self._tokens(resolved.listed)
        every = define(self._store, resolved.tools.values()) if resolved.searches else ()
        return Shown(
            resolved,
            tokens,
            sum(self._tokens(meta)),
            sum(tokens_of(each, self._count_tokens) for each in every) or sum(tokens),
        )

    def _tokens(self, definitions: tuple[JsonObject, ...]) -> tuple[int, ...]:
        return tuple(tokens_of(each, self._count_tokens) for each in definitions)

    async def _write(self, work: Callable[[], T]) -> T:
        written = await _in_thread(work)
        if self._on_change:
            await self._on_change()
        return written


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
