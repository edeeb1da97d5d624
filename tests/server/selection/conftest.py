"""A registry of a few tools in a fresh store, with an index that follows it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    Server,
    ServerName,
    Tool,
    hash_content,
    qualified_name,
)
from toolcrib_server.selection.selector import Selector
from toolcrib_server.sync.indexer import Indexer


def make_tool(server: str, name: str, *, tags: tuple[str, ...] = (), **definition: Any) -> Tool:
    """Make a tool as a catalogue's import does."""
    definition = {"name": name, "inputSchema": {"type": "object"}, **definition}
    return Tool(
        name=qualified_name(server, name),
        description=str(definition.get("description", "")),
        server=ServerName(server),
        local_name=name,
        definition=definition,
        content_hash=hash_content(definition),
        tags=tags,
    )


@dataclass
class Bench:
    """A store, the index that follows it, and a selector over both."""

    store: Store
    indexer: Indexer
    selector: Selector
    servers: dict[str, Server] = field(default_factory=dict[str, Server])

    async def add(self, *tools: Tool, tags: tuple[str, ...] = ()) -> None:
        """Put tools into the store, and the index up to it."""
        for server in dict.fromkeys(tool.server for tool in tools):
            if self.store.find_server(server) is None:
                catalogue = CatalogTransport("tests")
                new = Server(name=server, transport=catalogue, tags=tags)
                self.store.add_server(new, actor="test")
            upserts = tuple(tool for tool in tools if tool.server == server)
            self.store.apply(EntryChanges(server=server, upserts=upserts), actor="test")
        await self.indexer.catch_up()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a fresh store."""
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield store
    store.close()


@pytest.fixture
async def bench(store: Store, tmp_path: Path) -> Bench:
    """Open a registry of nothing."""
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    return Bench(store, indexer, Selector(store, indexer.index))
