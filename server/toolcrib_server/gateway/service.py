"""What answers at ``/mcp``: the meta-tools, and the prompts and resources of all servers.

Speaks the words of 2026-07-28 and knows no transport: the faces in `downstream` do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Counts, JsonObject, Server
from toolcrib_server.downstream.service import Client, Notify, Request, RpcError
from toolcrib_server.relay.news import TOOLS, News
from toolcrib_server.relay.profiles import profile_of
from toolcrib_server.upstream.messages.interaction import Profile

from .definitions import instructions, meta_tools
from .errors import INVALID_PARAMS, METHOD_NOT_FOUND
from .following import Following
from .handlers import MetaTools
from .holdings import Shelf
from .lists import LIST_TTL_MS, LISTS, Lists
from .relaying import EntryRelay

FRESH: Final = {"ttlMs": LIST_TTL_MS, "cacheScope": "public"}
"""Lists change only when the registry does, and `MetaService.listen` tells of that."""
_CAPABILITIES: Final[JsonObject] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
    "extensions": {"io.modelcontextprotocol/tasks": {}},
}
RELAYED: Final = (
    "prompts/get",
    "resources/read",
    "completion/complete",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
)

Answer = Callable[[Request], Awaitable[JsonObject]]


class Reach(Protocol):
    """The servers themselves."""

    async def notify(
        self, server: Server, method: str, params: JsonObject, *, profile: Profile
    ) -> None:
        """Send a notification, where there is a connection that it may interest."""
        ...

    async def aclose_profile(self, key: str) -> None:
        """Close the connections that are kept for one client."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What answers the different requests."""

    meta: MetaTools
    shelf: Shelf
    lists: Lists
    entries: EntryRelay
    following: Following
    news: News


class MetaService:
    """The service of the whole registry."""

    def __init__(self, store: Store, parts: Parts, reach: Reach, *, version: str) -> None:
        self._store = store
        self._parts = parts
        self._reach = reach
        self._info = {"name": "toolcrib", "title": "Toolcrib", "version": version}
        self._instructions = ""
        self._tools: list[dict[str, Any]] = []
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._answers: dict[str, Answer] = {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            **dict.fromkeys(LISTS, self._list),
            **dict.fromkeys(RELAYED, parts.entries.handle),
        }

    # --- what there is -------------------------------------------------------------------------

    async def describe(self, counts: Counts, servers: Sequence[str]) -> None:
        """Say what is behind the face now. Call it whenever the registry changed."""
        self._parts.shelf.forget()
        self._instructions = instructions(counts, servers)
        tools = meta_tools(servers)
        if tools != self._tools:  # compiling their schemas takes tens of milliseconds
            self._tools = tools
            self._schemas = {tool["name"]: tool["inputSchema"] for tool in tools}
            self._parts.meta.define(tools)
            self._parts.news.tell({TOOLS})

    async def discover(self, client: Client) -> JsonObject:  # the same for all
        """Say what there is."""
        return {
            "capabilities": _CAPABILITIES,
            "serverInfo": self._info,
            "instructions": self._instructions,
            **FRESH,
        }

    def input_schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return the input schema of a meta-tool."""
        return self._schemas.get(tool)

    # --- answers -------------------------------------------------------------------------------

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request.

        Raises:
            RpcError: The answer is an error.
        """
        answer = self._answers.get(request.method)
        if answer is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method[:100]}")
        return await answer(request)

    async def _list_tools(self, request: Request) -> JsonObject:
        if request.params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "Not a cursor of this list, which has one page.")
        return {"resultType": "complete", "tools": self._tools, **FRESH}

    async def _list(self, request: Request) -> JsonObject:
        principal = request.client.principal
        return await self._parts.lists.page(request.method, request.params, principal=principal)

    async def _call_tool(self, request: Request) -> JsonObject:
        name, arguments = request.params.get("name"), request.params.get("arguments")
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, "'name' must be a text: the tool to call.")
        if not isinstance(arguments, dict | None):
            raise RpcError(INVALID_PARAMS, "'arguments' must be an object.")
        given = cast("JsonObject", arguments or {})
        result = await self._parts.meta.call(request, name, given)
        # Required since 2026-07-28, unknown before; an upstream of either era may have answered.
        result.setdefault("resultType", "complete")
        return result

    # --- changes and sessions ------------------------------------------------------------------

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes until cancelled.

        Raises:
            RpcError: More is wanted than can be listened to.
        """
        await self._parts.following.listen(client, wanted, notify)

    async def note(self, client: Client, method: str, params: JsonObject) -> None:
        """Hand a notification on to the servers that know this client."""
        servers = await anyio.to_thread.run_sync(self._enabled)
        for server in servers:
            try:
                await self._reach.notify(server, method, params, profile=profile_of(client))
            except ToolcribError:
                continue  # nobody waits for an answer to a notification

    async def leave(self, client: Client) -> None:
        """Close what was opened for a session."""
        if client.session is not None:
            await self._reach.aclose_profile(profile_of(client).key)

    def _enabled(self) -> list[Server]:
        return list(self._store.find_servers(self._store.enabled_servers()).values())
