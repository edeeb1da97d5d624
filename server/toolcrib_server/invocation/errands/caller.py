"""What the call path needs of the links to servers."""

from __future__ import annotations

from typing import Any, Protocol

from toolcrib_registry.types import JsonObject, Server
from toolcrib_server.upstream.lists.mirroring import NO_HEADERS, HeaderMap
from toolcrib_server.upstream.messages.interaction import ALONE, Interaction


class Caller(Protocol):
    """Reaches upstream servers. Whatever fails is an `UpstreamError`."""

    async def call_tool(
        self,
        server: Server,
        local_name: str,
        arguments: JsonObject,
        *,
        timeout_s: float,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
        extra: JsonObject | None = None,
        mirrored: HeaderMap = NO_HEADERS,
    ) -> dict[str, Any]:
        """Call a tool and return the result object as the server sent it."""
        ...

    async def request(
        self,
        server: Server,
        method: str,
        params: JsonObject,
        *,
        timeout_s: float,
        safe: bool = False,
        meta: JsonObject | None = None,
        interaction: Interaction = ALONE,
    ) -> dict[str, Any]:
        """Send any other request; ``safe`` says that sending it twice does no harm."""
        ...
