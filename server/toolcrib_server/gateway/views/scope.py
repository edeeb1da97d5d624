"""Prompts, resources and tasks as a view has them: those of its members, and of nobody else.

What answers for the whole registry answers here too, given only what the view holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, Server, ServerName, entry_id
from toolcrib_server.downstream.service import Client, RpcError
from toolcrib_server.gateway.errors import INVALID_PARAMS
from toolcrib_server.gateway.following import TASKS, Following
from toolcrib_server.gateway.holdings import Holdings, Shelf
from toolcrib_server.gateway.lists import Lists, MayUse
from toolcrib_server.gateway.relaying import EntryRelay, FindServer
from toolcrib_server.gateway.sources import Links, Source, Sources, split_task
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.relay.news import News


@dataclass(frozen=True, slots=True)
class Held:
    """What a view holds at one state of the registry, beside its tools."""

    holdings: Holdings
    servers: Mapping[ServerName, Server]
    """Of everything in it, tools included."""


Look = Callable[[], Awaitable[Held]]
"""Gives what the view holds now; raises `NotFound` when there is no such view any more."""


class ViewShelf(Shelf):
    """Gives what the view holds, whatever else there is."""

    def __init__(self, store: Store, look: Look) -> None:
        super().__init__(store)
        self._look = look

    async def look(self) -> Holdings:
        """Return what there is now."""
        return (await self._look()).holdings


class ViewSources(Sources):
    """Finds servers for what the view holds, and for nothing that a client only names."""

    def __init__(self, store: Store, shelf: ViewShelf, links: Links, look: Look) -> None:
        super().__init__(store, shelf, links)
        self._given = links
        self._held = look

    async def find(self, method: str, params: JsonObject, client: Client) -> Source:
        """Return who is to answer a request, and what it is to be asked.

        Raises:
            RpcError: Nobody in the view has it, or several do.
        """
        held = await self._held()
        prompt = _prompt_named(method, params)
        if prompt is not None and entry_id(EntryKind.PROMPT, prompt) not in held.holdings.prompts:
            raise RpcError(INVALID_PARAMS, f"Unknown prompt: {prompt!r}.")
        source = await super().find(method, params, client)
        if source.server not in held.servers:
            raise RpcError(INVALID_PARAMS, "There is no such thing in this view.")
        return source

    async def who_has(self, uri: str, params: JsonObject, client: Client) -> ServerName:
        """Name the server that a resource is read from.

        Raises:
            RpcError: Nobody in the view has it, or several do.
        """
        server = await super().who_has(uri, params, client)
        held = await self._held()
        having = {
            *held.holdings.owners.get(uri, ()),
            *held.holdings.who_may_have(uri),
            held.holdings.withheld.get(uri),
            self._given.find(client.principal, uri),
        }
        if server not in having or server not in held.servers:
            raise RpcError(INVALID_PARAMS, "Resource not found", {"uri": uri})
        return server


def _prompt_named(method: str, params: JsonObject) -> str | None:
    named: object = params if method == "prompts/get" else None
    if method == "completion/complete" and isinstance(ref := params.get("ref"), Mapping):
        known = cast("JsonObject", ref)
        named = known if known.get("type") == "ref/prompt" else None
    name = named.get("name") if isinstance(named, Mapping) else None
    return name if isinstance(name, str) else None


def within(wanted: JsonObject, servers: Collection[ServerName]) -> JsonObject:
    """Leave of what a client wants to hear the tasks of servers that are in the view."""
    named = wanted.get(TASKS)
    if not isinstance(named, list):
        return wanted
    split = ((name, split_task(name)) for name in cast("list[Any]", named) if isinstance(name, str))
    return {**wanted, TASKS: [name for name, found in split if found and found[0] in servers]}


@dataclass(frozen=True, slots=True)
class Scope:
    """What answers for one view beside its tools; lives as long as the view is asked for."""

    lists: Lists
    entries: EntryRelay
    following: Following
    news: News = field(default_factory=News)
    links: Links = field(default_factory=Links)

    @classmethod
    def of(
        cls, store: Store, look: Look, find_server: FindServer, invoker: Invoker, may_use: MayUse
    ) -> Scope:
        """Put it together over parts that are open already."""
        news, links = News(), Links()
        shelf = ViewShelf(store, look)
        sources = ViewSources(store, shelf, links, look)
        return cls(
            Lists(store, shelf, may_use),
            EntryRelay(sources, links, find_server, invoker),
            Following(news, sources, find_server),
            news,
            links,
        )
