"""Builds the MCP server that assistants connect to, from parts that are open already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from toolcrib_registry.types import Counts
from toolcrib_server.guard import principal_of

from .definitions import instructions, meta_tools
from .handlers import MetaTools

_LIST_TTL_MS = 60_000
"""The list changes only with the set of registered servers."""
_SESSION_IDLE_S = 600.0
_MAX_SESSIONS = 1_000
"""Of the handshake era, at 36 KB each; later requests are told to come back."""


def _user(name: str) -> AuthenticatedUser:
    return AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))


class Gateway:
    """The MCP face: the server object, and how to tell it that the registry changed."""

    def __init__(self, meta: MetaTools, *, version: str) -> None:
        self._meta = meta
        self._tools: list[dict[str, Any]] = []
        self._schemas: dict[str, dict[str, Any]] = {}
        hint = CacheHint(ttl_ms=_LIST_TTL_MS, scope="public")
        self.server: Server[Any] = Server(
            "toolcrib",
            title="Toolcrib",
            version=version,
            cache_hints={"tools/list": hint, "server/discover": hint},
            get_tool_input_schema=self._schemas.get,
            on_list_tools=self._list_tools,
            # The handlers answer with wire objects, so that an upstream's result is relayed as it
            # came; the annotation of the constructor knows models only.
            on_call_tool=cast("Callable[..., Any]", self._call_tool),
        )

    def describe(self, counts: Counts, servers: Sequence[str]) -> None:
        """Say what is behind the face now. Call it whenever the registry changed."""
        self.server.instructions = instructions(counts, servers)
        tools = meta_tools(servers)
        if tools == self._tools:
            return  # compiling their schemas takes tens of milliseconds, at every change
        self._tools = tools
        self._schemas.clear()
        self._schemas.update({tool["name"]: tool["inputSchema"] for tool in tools})
        self._meta.define(tools)

    def http_app(self) -> ASGIApp:
        """Build the Streamable HTTP endpoint, both eras; checking Host is the caller's matter."""
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self.server.streamable_http_app(
            transport_security=unchecked,
            session_idle_timeout=_SESSION_IDLE_S,
            max_sessions=_MAX_SESSIONS,
        )
        serve = self.server.session_manager.handle_request

        async def owned(scope: Scope, receive: Receive, send: Send) -> None:
            # A handshake session answers only to the user who began it.
            scope["user"] = _user(principal_of(scope).name)
            await serve(scope, receive, send)

        return owned

    def sessions(self) -> AbstractAsyncContextManager[None]:
        """Run what the HTTP endpoint needs while it serves; build the endpoint first."""
        return self.server.session_manager.run()

    async def run_stdio(self) -> None:
        """Serve one client over standard input and output, until it leaves."""
        async with stdio_server() as (read, write):
            await self.server.run(read, write, self.server.create_initialization_options())

    async def _list_tools(
        self, _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult.model_validate({"tools": self._tools})

    async def _call_tool(
        self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> dict[str, Any]:
        result = await self._meta.call(ctx, params.name, params.arguments or {})
        # Required since 2026-07-28, unknown before; an upstream of either era may have answered.
        result.setdefault("resultType", "complete")
        return result
