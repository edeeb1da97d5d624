"""Which servers are stale is known without asking the database at every search."""

from datetime import UTC, datetime, timedelta

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_migrations import open_store
from toolcrib_registry.types import (
    EntryChanges,
    HttpTransport,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
)
from toolcrib_server.selection.freshness import Freshness, say_age
from toolcrib_server.selection.selector import Selector
from toolcrib_server.sync.diff import tool_entry
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_300, "2 h"), (200_000, "2 d"), (-5, "0 s")],
)
def test_an_age_is_said_in_the_largest_unit(seconds: int, said: str):
    assert say_age(NOW - timedelta(seconds=seconds), NOW) == said


async def test_results_of_a_server_that_cannot_be_reached_say_since_when(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    for name in ("well", "ill"):
        server = ServerName(name)
        store.add_server(Server(name=server, transport=HttpTransport("http://x/mcp")), actor="t")
        tool = tool_entry(server, {"name": "clock", "description": f"tell the time, {name}"})
        store.apply(EntryChanges(server=server, upserts=(tool,)), actor="t")
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    health = ServerHealth(status=ServerStatus.UNREACHABLE, synced_at=NOW)
    store.apply(EntryChanges(server=ServerName("ill")), actor="sync", health=health)
    selector = Selector(store, indexer.index)
    for _ in range(2):  # the second answer is remembered, and says it as well
        found = (await selector.search("tell the time", k=5)).found
        since = {one.entry.server: one.stale_since for one in found}
        assert since == {"ill": NOW, "well": None}
    store.close()


async def test_a_server_that_was_never_reached_is_not_stale(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    server = Server(name=ServerName("s"), transport=HttpTransport("http://x/mcp"))
    store.add_server(server, actor="t")
    store.apply(
        EntryChanges(server=server.name),
        actor="sync",
        health=ServerHealth(status=ServerStatus.UNREACHABLE),
    )
    freshness = Freshness(store)
    assert await freshness.stale() == {}
    store.apply(
        EntryChanges(server=server.name),
        actor="sync",
        health=ServerHealth(status=ServerStatus.UNREACHABLE, synced_at=NOW),
    )
    assert await freshness.stale() == {}  # remembered for a few seconds
    assert await Freshness(store).stale() == {"s": NOW}
    store.close()
