"""A database that fails is caused to fail for real; what was there before must be there after."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from toolcrib_migrations import open_store
from toolcrib_registry.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from toolcrib_registry.store import Store
from toolcrib_registry.store.database import Database
from toolcrib_registry.store.failures import translated_failures
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    EntryKind,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    Tool,
)

A = ServerName("alpha")

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


def tool(name: str, description: str) -> Tool:
    definition = {"name": name, "description": description}
    return Tool(
        name=f"alpha__{name}",
        server=A,
        local_name=name,
        description=description,
        definition=definition,
    )


OLD = EntryChanges(server=A, upserts=tuple(tool(f"old{n}", "x") for n in range(3)))
NEW = EntryChanges(
    server=A,
    upserts=(tool("old0", "changed"), *(tool(f"new{n}", "y" * 2_000) for n in range(30))),
    removals=(tool("old1", "").id,),
)


def fill(store: Store) -> None:
    store.add_server(Server(name=A, transport=CatalogTransport("x")), actor="test")
    store.apply(OLD, actor="test")


def state(store: Store) -> object:
    return (
        store.counts(),
        store.list_changes(),
        store.list_entries(limit=1000),
        store.list_servers(),
    )


def write(store: Store) -> None:
    store.apply(NEW, actor="test", health=ServerHealth(status=ServerStatus.READY))


@contextmanager
def held(url: str) -> Generator[None]:
    """Hold the lock that writers need: from another process on SQLite, which locks by process."""
    if url.startswith("sqlite"):
        command = [sys.executable, "-c", HOLDER, url.removeprefix("sqlite:///")]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield
            process.stdin.close()
            process.wait(30)
        return
    database = Database(url, busy_timeout_s=5)
    with database.writing() as session:
        session.connection().execute(text("SELECT * FROM log_head FOR UPDATE"))
        yield
    database.close()


def test_a_lock_held_too_long_is_busy_and_nothing_is_lost(url: str) -> None:
    store = open_store(url, busy_timeout_s=0.2)
    fill(store)
    before = state(store)

    with held(url):
        with pytest.raises(StoreBusy, match=r"longer than 0\.2 s. Nothing was changed. Try again"):
            write(store)
        assert state(store) == before  # and reading goes on meanwhile

    assert state(store) == before
    write(store)
    assert len(store.entry_hashes(A)) == 32
    store.close()


def test_a_read_only_database_can_be_read_and_says_so_when_written(url: str) -> None:
    store = open_store(url)
    fill(store)
    before = state(store)
    store.close()

    read_only = open_store(made_read_only(url))

    assert state(read_only) == before
    with pytest.raises(StoreReadOnly, match=r"cannot be written: .*Let this user write"):
        write(read_only)
    with pytest.raises(StoreReadOnly):
        read_only.put_embeddings("encoder", {"x": b"1"})
    assert state(read_only) == before
    read_only.close()


def made_read_only(url: str) -> str:
    if url.startswith("sqlite"):  # file modes do not stop the user that tests often run as
        return f"{url.replace('sqlite:///', 'sqlite:///file:')}?mode=ro&uri=true"
    return f"{url}%20-cdefault_transaction_read_only%3Don"


def test_a_full_disk_loses_nothing_at_whichever_page_it_strikes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    store = open_store(url)
    fill(store)
    before = state(store)
    store.close()
    used = (tmp_path / "x.db").stat().st_size // 4096
    struck = 0

    for room in range(200):
        failure = write_in(url, pages=used + room)
        if failure is None:
            break
        assert "There is no room left" in failure.detail
        assert str(tmp_path / "x.db") in failure.detail
        again = open_store(url)
        assert state(again) == before
        again.close()
        struck += 1

    assert struck > 10
    after = open_store(url)
    assert len(after.entry_hashes(A)) == 32
    assert after.head() == 4 + 32
    after.close()


def write_in(url: str, *, pages: int) -> StoreFull | None:
    """Write where the database may not grow beyond a number of pages."""
    store = Store(url)

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(store._database._engine, "connect", limit)
    try:
        write(store)
    except StoreFull as failure:
        return failure
    finally:
        store.close()
    return None


@pytest.mark.parametrize(
    ("state_code", "expected"),
    [
        ("40P01", StoreBusy),
        ("42501", StoreReadOnly),
        ("53100", StoreFull),
        ("XX001", StoreDamaged),
        ("22000", StoreError),
    ],
)
def test_what_postgresql_reports_is_told_apart_and_loses_nothing(
    new_postgres_url, state_code: str, expected: type[StoreError]
) -> None:
    url = new_postgres_url()
    store = open_store(url)
    fill(store)
    before = state(store)
    refuse_changes(url, state_code)

    with pytest.raises(StoreError) as failure:
        write(store)

    assert type(failure.value) is expected
    assert state(store) == before
    store.close()


def refuse_changes(url: str, state_code: str) -> None:
    """Let the server fail at the last step of a unit of work, when the changes are written."""
    body = f"$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state_code}'; END $$"
    database = Database(url, busy_timeout_s=5)
    with database.writing() as session:
        for statement in (
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS {body}",
            "CREATE TRIGGER refuse BEFORE INSERT ON changes EXECUTE FUNCTION refuse()",
        ):
            session.connection().exec_driver_sql(statement)
    database.close()


def test_a_failure_of_no_special_kind_names_the_database_and_the_reason(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    store = open_store(url)
    fill(store)
    before = state(store)
    raw = sqlite3.connect(tmp_path / "x.db")
    raw.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    raw.close()

    with pytest.raises(StoreError, match=r"x\.db failed: refused. Nothing was changed") as failure:
        write(store)

    assert type(failure.value) is StoreError
    assert state(store) == before
    store.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_text("Dear diary, today I was no database.\n" * 50)
    before = file.read_bytes()

    with pytest.raises(StoreDamaged, match=r"x\.db is not an intact Toolcrib database: .*backup"):
        open_store(f"sqlite:///{file}")

    assert file.read_bytes() == before


@pytest.mark.parametrize("kept", [0.01, 0.3, 0.6, 0.95])
def test_a_file_cut_short_is_refused_and_left_alone(tmp_path: Path, kept: float) -> None:
    file = tmp_path / "x.db"
    store = open_store(f"sqlite:///{file}")
    fill(store)
    write(store)
    store.close()
    whole = file.read_bytes()
    cut = whole[: int(len(whole) * kept)]
    file.write_bytes(cut)

    with pytest.raises(StoreDamaged, match="malformed"):
        open_store(f"sqlite:///{file}")

    assert file.read_bytes() == cut


def test_a_column_that_was_tampered_with_is_damage(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    fill(store)
    with sqlite3.connect(tmp_path / "x.db") as raw:
        raw.execute("""UPDATE entries SET definition = '{"na' WHERE name = 'alpha__old1'""")
    raw.close()

    with pytest.raises(StoreDamaged, match="a JSON column does not hold JSON"):
        store.get_entry(EntryKind.TOOL, "alpha__old1")
    assert store.get_entry(EntryKind.TOOL, "alpha__old2").name == "alpha__old2"
    store.close()


@pytest.mark.parametrize(
    ("path", "expected", "message"),
    [("", StoreError, "must be a file"), ("file/under/x.db", StoreError, "Not a directory")],
)
def test_a_place_where_no_file_can_be_is_refused(
    tmp_path: Path, path: str, expected: type[StoreError], message: str
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(expected, match=message):
        open_store(f"sqlite:///{tmp_path}/{path}")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "Permission denied", "/x"), StoreReadOnly),
        (OSError(30, "Read-only file system", "/x"), StoreReadOnly),
        (OSError(28, "No space left on device", "/x"), StoreFull),
        (OSError(5, "Input/output error", "/x"), StoreError),
    ],
)
def test_what_the_file_system_reports_is_told_apart(
    error: OSError, expected: type[StoreError]
) -> None:
    with (
        pytest.raises(StoreError, match=r"/data/x\.db") as failure,
        translated_failures("/data/x.db", timeout_s=1),
    ):
        raise error

    assert type(failure.value) is expected
    assert failure.value.__cause__ is error
