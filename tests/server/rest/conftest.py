"""The HTTP face over a fresh store and index, spoken to in process."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    HttpTransport,
    Server,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
)
from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.deps import Deps
from toolcrib_server.rest.testing import open_deps


@dataclass
class Api:
    """An API with its parts, and a client of it."""

    deps: Deps
    app: FastAPI
    http: httpx.AsyncClient

    def add_tools(self, server: str, *names: str, catalog: bool = True, url: str = "") -> None:
        """Put a server with tools into the store, as a sync would."""
        transport = CatalogTransport("tests") if catalog else HttpTransport(url or "http://x/mcp")
        name = ServerName(server)
        self.deps.store.add_server(Server(name=name, transport=transport), actor="test")
        tools = tuple(tool(server, local) for local in names)
        self.deps.store.apply(EntryChanges(server=name, upserts=tools), actor="test")


def tool(server: str, name: str) -> Tool:
    definition: dict[str, Any] = {
        "name": name,
        "description": f"{name} of {server}",
        "inputSchema": {},
    }
    return Tool(
        name=qualified_name(server, name),
        description=definition["description"],
        server=ServerName(server),
        local_name=name,
        definition=definition,
        content_hash=hash_content(definition),
    )


OpenApi = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def open_api(tmp_path: Path) -> Iterator[OpenApi]:
    """Open an API; keyword arguments are those of `open_deps`."""
    with ExitStack() as opened:

        @asynccontextmanager
        async def start(
            client: tuple[str, int] = ("127.0.0.1", 1), **settings: Any
        ) -> AsyncGenerator[Api]:
            deps = opened.enter_context(open_deps(tmp_path, **settings))
            app = build_api(deps)
            transport = httpx.ASGITransport(app, client=client)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                yield Api(deps, app, http)

        yield start


@pytest.fixture
async def api(open_api: OpenApi) -> AsyncIterator[Api]:
    """Open an API without keys, spoken to from this machine: everything is allowed."""
    async with open_api() as opened:
        yield opened
