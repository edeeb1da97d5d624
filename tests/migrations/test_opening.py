from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from toolcrib_migrations import open_store, upgrade
from toolcrib_migrations.schema import HEAD
from toolcrib_registry.errors import InvalidInput, StoreBusy, StoreTooNew
from toolcrib_registry.store.database import Database
from toolcrib_registry.types import (
    EntryChanges,
    Known,
    Model,
    Offer,
    Server,
    ServerName,
    StdioTransport,
    Tool,
)

WAIT_S = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/toolcrib.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return make()


def rewrite_version(url: str, version: str) -> None:
    database = Database(url, busy_timeout_s=5)
    with database.writing() as session:
        statement = text("UPDATE toolcrib_version SET version_num = :version")
        session.connection().execute(statement, {"version": version})
    database.close()


def test_an_empty_database_is_made_and_opened(url: str) -> None:
    store = open_store(url)

    assert store.head() == 0
    assert store.counts().servers == 0
    store.close()


def test_what_was_written_is_there_when_opened_again(url: str) -> None:
    server = Server(name=ServerName("time"), transport=StdioTransport("uvx", ("time",)))
    tool = Tool(name="time__now", server=server.name, local_name="now", definition={"name": "now"})
    offer = Offer(provider="p", remote_model="m", region=Known("eu", "hand", date(2026, 1, 1)))
    first = open_store(url)
    first.add_server(server, actor="test")
    first.apply(EntryChanges(server=server.name, upserts=(tool,)), actor="test")
    first.add_model(Model(name="m", offers=(offer,)), actor="test")
    first.put_embeddings("encoder", {"x": b"1234"})
    before = (first.list_servers(), first.list_entries(), first.list_changes(), first.counts())
    first.close()

    upgrade(url)
    second = open_store(url)

    after = (second.list_servers(), second.list_entries(), second.list_changes(), second.counts())
    assert after == before
    second.close()


def test_a_newer_database_is_refused_with_both_versions_and_left_alone(url: str) -> None:
    open_store(url).close()
    rewrite_version(url, "0999")

    for attempt in (open_store, upgrade):
        with pytest.raises(StoreTooNew) as refusal:
            attempt(url)
        detail = refusal.value.detail
        assert "has schema 0999" in detail
        assert f"knows schemas up to {HEAD}. Nothing was changed. Upgrade Toolcrib" in detail

    rewrite_version(url, HEAD)
    open_store(url).close()


def test_a_newer_sqlite_file_is_not_even_touched(tmp_path: Path) -> None:
    file = tmp_path / "toolcrib.db"
    open_store(f"sqlite:///{file}").close()
    rewrite_version(f"sqlite:///{file}", "0999")
    before = file.read_bytes()

    with pytest.raises(StoreTooNew, match=str(file)):
        open_store(f"sqlite:///{file}")

    assert file.read_bytes() == before


def test_many_that_open_an_empty_database_at_once_all_succeed(url: str) -> None:
    def attempt(_: int) -> int:
        store = open_store(url, busy_timeout_s=30)
        try:
            return store.head()
        finally:
            store.close()

    with ThreadPoolExecutor(8) as threads:
        heads = list(threads.map(attempt, range(8), timeout=WAIT_S))

    assert heads == [0] * 8


def test_another_that_upgrades_too_long_is_busy(tmp_path: Path) -> None:
    file = tmp_path / "toolcrib.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy, match=r"longer than 0\.1 s"):
        open_store(f"sqlite:///{file}", busy_timeout_s=0.1)

    holder.execute("ROLLBACK")
    holder.close()
    open_store(f"sqlite:///{file}").close()


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "toolcrib.db"
    with sqlite3.connect(file) as raw:
        raw.execute("CREATE TABLE offers (somebody_elses TEXT)")
    raw.close()

    with pytest.raises(Exception, match="table offers already exists"):
        open_store(f"sqlite:///{file}")

    with sqlite3.connect(file) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master")]
    raw.close()
    assert tables == ["offers"]


def test_a_url_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        open_store(str(tmp_path / "x.db"))


def test_an_up_to_date_database_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    open_store(url).close()
    script = (
        "import sys; from toolcrib_migrations import open_store;"
        f" open_store({url!r}).head(); print('alembic' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=True
    )

    assert (done.stdout, done.stderr) == ("False\n", "")


def test_making_a_database_writes_nothing_to_standard_output(tmp_path: Path) -> None:
    script = (
        "from toolcrib_migrations import open_store;"
        f" open_store('sqlite:///{tmp_path}/100%/x.db').close()"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "100%" / "x.db").exists()
