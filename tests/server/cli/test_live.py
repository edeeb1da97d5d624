"""The live table of servers: what it says of each, and of all together."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    HttpTransport,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
)
from toolcrib_server.cli.live import Watch, say_presence, say_state, summary
from toolcrib_server.runtime import Runtime

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield opened
    opened.close()


@contextmanager
def watching(store: Store, folder: Path, *names: str) -> Generator[Watch]:
    settings = SimpleNamespace(data_dir=folder)
    runtime = cast("Runtime", SimpleNamespace(store=store, settings=settings))
    yield Watch(runtime, frozenset(names) if names else None)


def add(store: Store, name: str, **health: object) -> Server:
    server = Server(name=ServerName(name), transport=HttpTransport("http://x/mcp"))
    store.add_server(server, actor="test")
    store.apply(
        EntryChanges(server=server.name), actor="sync", health=replace(ServerHealth(), **health)
    )
    return server


def test_a_look_shows_live_servers_and_how_fast_it_goes(store: Store, tmp_path: Path):
    add(store, "a", status=ServerStatus.READY, attempted_at=NOW, synced_at=NOW)
    add(store, "b", status=ServerStatus.UNREACHABLE, failures=3, error="refused")
    store.add_server(Server(name=ServerName("c"), transport=CatalogTransport("f")), actor="test")
    with watching(store, tmp_path) as watch:
        first = watch.look(NOW)
        assert [state.server for state in first.states] == ["a", "b"]
        assert (first.syncs_per_s, first.changes_per_s) == (0, 0)
        later = NOW + timedelta(seconds=10)
        health = ServerHealth(status=ServerStatus.READY, attempted_at=later, synced_at=later)
        store.apply(EntryChanges(server=ServerName("a")), actor="sync", health=health)
        add(store, "d")
        second = watch.look(later)
    assert second.syncs_per_s == pytest.approx(0.1)
    assert second.changes_per_s == pytest.approx(0.1)
    assert second.moved != first.moved


def test_what_only_time_changes_is_no_news(store: Store, tmp_path: Path):
    add(store, "a", status=ServerStatus.READY, attempted_at=NOW, synced_at=NOW)
    with watching(store, tmp_path) as watch:
        assert watch.look(NOW).moved == watch.look(NOW + timedelta(seconds=5)).moved


def test_named_servers_are_watched_alone(store: Store, tmp_path: Path):
    add(store, "a")
    add(store, "b")
    with watching(store, tmp_path, "b") as watch:
        assert [state.server for state in watch.look(NOW).states] == ["b"]


def test_a_server_whose_lease_somebody_holds_is_syncing(store: Store, tmp_path: Path):
    add(store, "a")
    store.acquire_leases([ServerName("a")], holder="elsewhere:1:x", ttl_s=60)
    with watching(store, tmp_path) as watch:
        (state,) = watch.look(NOW).states
    assert say_state(state) == "syncing"


def test_all_together_is_one_line_and_says_when_nothing_serves(store: Store, tmp_path: Path):
    add(store, "a", status=ServerStatus.READY, synced_at=NOW)
    add(store, "b", status=ServerStatus.UNREACHABLE, failures=3)
    with watching(store, tmp_path) as watch:
        look = watch.look(NOW)
    assert summary(look).startswith("2 servers: 1 ready, 1 unreachable · revision 2 · 0.0 syncs/s")
    assert "toolcrib serve" in say_presence(look)
    assert "keeps them in step" in say_presence(replace(look, served=True))
    assert say_state(look.states[1]) == "unreachable x3"
