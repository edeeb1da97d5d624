from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from toolcrib_registry.errors import InvalidInput, StoreBusy, StoreError
from toolcrib_registry.store.database import Database, parse_url


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg"),
    ],
)
def test_urls_get_the_driver_that_is_shipped(given: str, driver: str) -> None:
    assert parse_url(given).drivername == driver


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "cannot be read"),
        ("toolcrib.db", "cannot be read"),
        ("postgresql://u:hidden@host:port/d", "cannot be read"),
        ("mysql://u:hidden@host/d", "names 'mysql', which Toolcrib does not know"),
        ("postgresql+asyncpg://u:hidden@host/d", "names 'postgresql.asyncpg'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_what_to_give(url: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refusal:
        parse_url(url)

    assert "sqlite:///FILE" in refusal.value.detail
    assert "hidden" not in refusal.value.detail


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    database = Database("postgresql://me:hidden@127.0.0.1:1/tools", busy_timeout_s=2)

    refused = pytest.raises(StoreError, match=r"postgresql://127\.0\.0\.1:1/tools failed")
    with refused as failure, database.reading() as session:
        session.connection()

    assert "hidden" not in failure.value.detail


def test_sqlite_files_are_opened_as_decided(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", busy_timeout_s=1.5)
    database.create_file()
    database.prepare_for_writers()

    with database.reading() as session:
        settings = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()

    normal = 1
    assert settings == {
        "journal_mode": "wal",
        "synchronous": normal,
        "foreign_keys": 1,
        "busy_timeout": 1500,
    }


def test_a_new_file_and_its_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/deep/er/x.db", busy_timeout_s=1)

    database.create_file()
    database.create_file()

    assert database.file is not None
    assert database.file.stat().st_mode & 0o777 == 0o600
    assert database.file.parent.stat().st_mode & 0o777 == 0o700


def test_a_reader_keeps_its_snapshot_while_another_writes(url: str) -> None:
    database = Database(url, busy_timeout_s=5)
    database.create_file()
    database.prepare_for_writers()
    with database.writing() as session:
        session.connection().execute(text("CREATE TABLE t (x INTEGER)"))
    count = text("SELECT count(*) FROM t")

    with database.reading() as reader:
        before = reader.connection().execute(count).scalar()
        with database.writing() as writer:
            writer.connection().execute(text("INSERT INTO t VALUES (1)"))
        during = reader.connection().execute(count).scalar()
    with database.reading() as reader:
        after = reader.connection().execute(count).scalar()
    database.close()

    assert (before, during, after) == (0, 0, 1)


def test_a_unit_of_work_that_fails_leaves_nothing_behind(url: str) -> None:
    database = Database(url, busy_timeout_s=5)
    with database.writing() as session:
        session.connection().execute(text("CREATE TABLE t (x INTEGER)"))

    def insert_twice() -> None:
        with database.writing() as session:
            session.connection().execute(text("INSERT INTO t VALUES (1)"))
            session.connection().execute(text("INSERT INTO no_such_table VALUES (1)"))

    with pytest.raises(StoreError, match="no_such_table"):
        insert_twice()

    with database.reading() as session:
        assert session.connection().execute(text("SELECT count(*) FROM t")).scalar() == 0
    database.close()


def test_more_work_at_once_than_there_are_connections_waits_no_longer_than_allowed(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", busy_timeout_s=0.1)

    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(database.reading()).connection()
        with pytest.raises(StoreBusy, match=r"longer than 0\.1 s"), database.reading() as session:
            session.connection()
    database.close()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_the_write_ahead_log_is_waited_for_no_longer_than_allowed(
    tmp_path: Path, lock: str
) -> None:
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("CREATE TABLE t (x)")
    holder.execute(f"BEGIN {lock}")
    database = Database(f"sqlite:///{tmp_path}/x.db", busy_timeout_s=0.1)

    with pytest.raises(StoreBusy):
        database.prepare_for_writers()

    holder.execute("COMMIT")
    holder.close()
    database.prepare_for_writers()
    with database.reading() as session:
        mode = session.connection().exec_driver_sql("PRAGMA journal_mode").scalar()
    assert mode == "wal"
    database.close()
