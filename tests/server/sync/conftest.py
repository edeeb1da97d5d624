"""A real store and a real index for the sync floor; upstreams are told what to list."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.errors import UpstreamUnavailable
from toolcrib_registry.store import Store
from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.sync.indexer import Indexer
from toolcrib_server.sync.reconcile import Reconciler
from toolcrib_server.upstream.lists.listing import Listing


@dataclass
class ToldLister:
    """A `Lister` that lists what it was told; a server it was told nothing of cannot be reached."""

    listings: dict[str, Listing] = field(default_factory=dict[str, Listing])
    asked: list[str] = field(default_factory=list[str])
    once: dict[str, Listing] = field(default_factory=dict[str, Listing])
    """What is listed the next time, and not again."""
    held: dict[str, anyio.Event] = field(default_factory=dict[str, anyio.Event])
    """Servers that answer only when their event is set."""

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        self.asked.append(server.name)
        if server.name in self.held:
            await self.held[server.name].wait()
        if server.name not in self.listings:
            raise UpstreamUnavailable(server.name, "told nothing")
        told = self.once.pop(server.name, None) or self.listings[server.name]
        is_known = known_digest is not None and told.digest == known_digest
        return Listing(unchanged=True, digest=told.digest) if is_known else told

    async def aclose_server(self, name: ServerName) -> None:
        self.asked.append(f"close {name}")

    def tell(self, name: str, *tools: dict[str, object]) -> None:
        self.listings[name] = listing(*tools)


@dataclass
class House:
    """The parts under test."""

    store: Store
    lister: ToldLister
    indexer: Indexer
    reconciler: Reconciler

    def register(self, *names: str) -> None:
        for name in names:
            server = Server(name=ServerName(name), transport=StdioTransport("told"))
            self.store.add_server(server, actor="test")


def listing(*tools: dict[str, object]) -> Listing:
    return Listing(tools=tools, protocol_version="2026-07-28", reported_name="told")


def tool(name: str, description: str = "Does a thing.", **extra: object) -> dict[str, object]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **extra}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    lister = ToldLister()
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    reconciler = Reconciler(store, lister, indexer, confirm_after_s=0, lease_s=1)
    yield House(store, lister, indexer, reconciler)
    store.close()
