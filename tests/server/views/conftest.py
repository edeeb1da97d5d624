"""A registry with a server or two, and what finds out which tools a view of it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    HttpTransport,
    Server,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
)
from toolcrib_server.views.resolving import Resolver

Schema = Mapping[str, Any]


def tool(server: str, name: str, schema: Schema | None = None, **said: Any) -> Tool:
    """Make a tool as its server lists it."""
    definition = {"name": name, "inputSchema": schema or {"type": "object"}, **said}
    return Tool(
        name=qualified_name(server, name),
        description=said.get("description", ""),
        server=ServerName(server),
        local_name=name,
        definition=definition,
        content_hash=hash_content(definition),
    )


def words(text: str) -> int:
    """Count words, which is a token count that a test can do by hand."""
    return len(text.split())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open an empty registry."""
    opened = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield opened
    opened.close()


@pytest.fixture
def register(store: Store) -> Callable[..., None]:
    """Put a server with tools into the registry, or replace what it has."""

    def put(*tools: Tool, server: str | None = None) -> None:
        name = ServerName(server or tools[0].server)
        if store.find_server(name) is None:
            transport = HttpTransport("http://127.0.0.1:1/mcp")
            store.add_server(Server(name=name, transport=transport), actor="test")
        known = store.entry_hashes(name)
        gone = tuple(id_ for id_ in known if id_ not in {tool.id for tool in tools})
        store.apply(EntryChanges(server=name, upserts=tools, removals=gone), actor="test")

    return put


@pytest.fixture
def resolver(store: Store) -> Resolver:
    """Open what finds out which tools a view has; tokens are words."""
    return Resolver(store, words)
