"""One view as a service: its tools listed or searched, called under the names it gives them.

Speaks the words of 2026-07-28 and knows no transport: the faces in `downstream` do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import anyio

from toolcrib_registry.errors import NotFound, ToolcribError
from toolcrib_registry.store.names import near
from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.service import Client, Notify, Request, RpcError
from toolcrib_server.gateway.errors import INVALID_PARAMS, METHOD_NOT_FOUND
from toolcrib_server.gateway.lists import LISTS
from toolcrib_server.gateway.service import FRESH, RELAYED
from toolcrib_server.relay.errors import to_rpc_error
from toolcrib_server.relay.profiles import profile_of
from toolcrib_server.views.checking import META_TOOLS

from .catalogue import Served, Views
from .scope import within

_PAGE: Final = 1_000
_NEAR: Final = 5
_DIGEST_CHARS: Final = 16
_TOOLS: Final[JsonObject] = {"tools": {"listChanged": True}}
_BESIDE_TOOLS: Final[JsonObject] = {
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
}
_ALWAYS: Final[JsonObject] = {
    "completions": {},
    "logging": {},
    "extensions": {"io.modelcontextprotocol/tasks": {}},
}

Answer = Callable[[Request], Awaitable[JsonObject]]


async def find_view(views: Views, name: str) -> ViewService:
    """Find a view, as a service.

    Raises:
        NotFound: There is none of that name; near names are offered.
    """
    await views.current(name)
    return ViewService(name, views)


class ViewService:
    """A view, by its name: what it holds is looked up at each request, and kept between changes."""

    def __init__(self, name: str, views: Views) -> None:
        self._name = name
        self._views = views
        self._answers: dict[str, Answer] = {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            **dict.fromkeys(LISTS, self._list),
            **dict.fromkeys(RELAYED, self._relay),
        }

    async def discover(self, client: Client) -> JsonObject:  # the same for all
        """Say what the view is for.

        Raises:
            RpcError: There is no such view any more.
        """
        served = await self._served()
        view = served.resolved.view
        told = {"instructions": served.instructions} if served.instructions else {}
        return {
            "capabilities": {**_TOOLS, **_beside_tools(served), **_ALWAYS},
            "serverInfo": {
                "name": view.name,
                "title": view.title or view.name,
                "version": self._views.version,
            },
            **told,
            **FRESH,
        }

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request.

        Raises:
            RpcError: The answer is an error.
        """
        answer = self._answers.get(request.method)
        if answer is None:
            raise RpcError(METHOD_NOT_FOUND, f"Method not found: {request.method}")
        return await answer(request)

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes until cancelled, or until the view is removed.

        Raises:
            RpcError: There is no such view, or more is wanted than can be listened to.
        """
        served = await self._served()
        failure: list[RpcError] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look_again, tasks.cancel_scope)
            try:
                asked = within(wanted, served.held.servers)
                await served.scope.following.listen(client, asked, notify)
            except RpcError as error:
                failure.append(error)
            tasks.cancel_scope.cancel()
        for error in failure:  # outside of the group, which would wrap it
            raise error

    async def _look_again(self, listening: anyio.CancelScope) -> None:
        """Look at the view after each change: what is new there is told to all that listen."""
        try:
            while True:
                change = self._views.next_change  # also one that comes during the look
                await self._views.current(self._name)
                await change.wait()
        except NotFound:
            listening.cancel()

    async def note(self, client: Client, method: str, params: JsonObject) -> None:
        """Hand a notification on to the servers of the view that know this client."""
        served = await self._served()
        for server in served.held.servers.values():
            try:
                await self._views.reach.notify(server, method, params, profile=profile_of(client))
            except ToolcribError:
                continue  # nobody waits for an answer to a notification

    async def leave(self, client: Client) -> None:
        """Close what was opened for a session."""
        if client.session is not None:
            await self._views.reach.aclose_profile(profile_of(client).key)

    def input_schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return the input schema of a tool that is listed."""
        served = self._views.peek(self._name)
        return served and served.schemas.get(tool)

    async def _served(self) -> Served:
        try:
            return await self._views.current(self._name)
        except NotFound as error:
            raise to_rpc_error(error) from error

    async def _list_tools(self, request: Request) -> JsonObject:
        served = await self._served()
        start = _read_cursor(request.params.get("cursor"), served)
        page = served.tools[start : start + _PAGE]
        more = start + _PAGE < len(served.tools)
        after = {"nextCursor": _cursor(start + _PAGE, served)} if more else {}
        return {"resultType": "complete", "tools": list(page), **after, **FRESH}

    async def _list(self, request: Request) -> JsonObject:
        lists = (await self._served()).scope.lists
        return await lists.page(request.method, request.params, principal=request.client.principal)

    async def _relay(self, request: Request) -> JsonObject:
        return await (await self._served()).scope.entries.handle(request)

    async def _call_tool(self, request: Request) -> JsonObject:
        name, arguments = request.params.get("name"), request.params.get("arguments")
        if not isinstance(name, str):
            raise RpcError(INVALID_PARAMS, "'name' must be a text: the tool to call.")
        if not isinstance(arguments, dict | None):
            raise RpcError(INVALID_PARAMS, "'arguments' must be an object.")
        given = cast("JsonObject", arguments or {})
        served = await self._served()
        if served.resolved.searches and name in META_TOOLS:
            result = await served.meta.call(request, name, given)
        elif name in served.resolved.tools:
            result = await served.meta.call_listed(request, name, given)
        else:
            raise _unknown(name, served)
        # Required since 2026-07-28, unknown before; an upstream of either era may have answered.
        return {"resultType": "complete", **result}


def _beside_tools(served: Served) -> dict[str, Any]:
    holdings = served.held.holdings
    has = {
        "prompts": holdings.prompts,
        "resources": holdings.resources or holdings.templates,
    }
    return {name: said for name, said in _BESIDE_TOOLS.items() if has[name]}


def _unknown(name: str, served: Served) -> RpcError:
    names = [*served.resolved.tools, *(META_TOOLS if served.resolved.searches else ())]
    close = near(name, names, limit=_NEAR)
    hint = f" Did you mean: {', '.join(close)}?" if close else ""
    return RpcError(INVALID_PARAMS, f"Unknown tool: {name!r}.{hint}")


def _cursor(start: int, served: Served) -> str:
    return f"{start}.{served.digest[:_DIGEST_CHARS]}"


def _read_cursor(cursor: object, served: Served) -> int:
    """Read where a page begins.

    Raises:
        RpcError: The cursor is of another list, or of this one as it was.
    """
    if cursor is None:
        return 0
    start = str(cursor).partition(".")[0]
    if not start.isdecimal() or _cursor(int(start[:9]), served) != cursor:
        raise RpcError(
            INVALID_PARAMS, "Not a cursor of this list as it is now: begin again without one."
        )
    return int(start)
