from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CatalogTransport,
    ChangeAction,
    EntryChanges,
    Revision,
    Server,
    ServerName,
    Tool,
)

WAIT_S = 60

WRITER = """
import sys
from toolcrib_migrations import open_store
from toolcrib_registry.types import *

url, name, rounds = sys.argv[1], ServerName(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
store = open_store(url, busy_timeout_s=30)
store.add_server(Server(name=name, transport=CatalogTransport("x")), actor=name)
for number in range(rounds):
    tool = Tool(name=f"{name}__{number}", server=name, local_name="x", definition={})
    store.apply(EntryChanges(server=name, upserts=(tool,)), actor=name)
store.close()
"""


def add_server(store: Store, name: str) -> ServerName:
    server = Server(name=ServerName(name), transport=CatalogTransport("x"))
    return store.add_server(server, actor="test").name


def add_tool(store: Store, server: ServerName, name: str) -> None:
    tool = Tool(name=f"{server}__{name}", server=server, local_name=name, definition={})
    store.apply(EntryChanges(server=server, upserts=(tool,)), actor=f"writer {server}")


def test_the_log_of_an_empty_registry_is_empty(store: Store) -> None:
    assert store.head() == 0
    assert store.list_changes() == ()


def test_changes_are_listed_after_a_revision_oldest_first(store: Store) -> None:
    for name in ("a", "b"):
        add_tool(store, add_server(store, name), "x")

    assert [change.subject for change in store.list_changes()] == [
        "server:a",
        "tool:a__x",
        "server:b",
        "tool:b__x",
    ]
    assert [c.revision for c in store.list_changes(since=Revision(1), limit=2)] == [2, 3]
    assert [c.revision for c in store.list_changes(server=ServerName("b"))] == [3, 4]
    assert store.list_changes(since=Revision(4)) == ()
    assert store.list_changes(since=Revision(2**80)) == ()
    change = store.list_changes(limit=1)[0]
    assert (change.action, change.actor) == (ChangeAction.ADDED, "test")
    assert change.at.tzinfo is not None


def test_subjects_are_those_of_the_changes(store: Store) -> None:
    for name in ("a", "b"):
        add_tool(store, add_server(store, name), "x")

    changes = store.list_changes()
    assert store.list_subjects() == tuple((one.revision, one.subject) for one in changes)
    assert store.list_subjects(since=Revision(1), limit=2) == store.list_subjects()[1:3]
    assert store.list_subjects(since=store.head()) == ()


def test_writers_at_once_lose_no_revision_and_readers_see_a_prefix(store: Store) -> None:
    names = [add_server(store, f"s{number}") for number in range(4)]
    rounds, done = 10, Event()

    def write(name: ServerName) -> None:
        for number in range(rounds):
            add_tool(store, name, str(number))

    def read() -> int:
        looks, last = 0, 0
        while not done.is_set():
            revisions = [change.revision for change in store.list_changes()]
            assert revisions == list(range(1, len(revisions) + 1))
            assert len(revisions) >= last
            assert store.head() >= len(revisions)
            looks, last = looks + 1, len(revisions)
        return looks

    with ThreadPoolExecutor(6) as threads:
        reader = threads.submit(read)
        writers = [threads.submit(write, name) for name in names]
        try:
            for writer in writers:
                writer.result(WAIT_S)
        finally:
            done.set()
        assert reader.result(WAIT_S) > 0

    changes = store.list_changes()
    assert [change.revision for change in changes] == list(range(1, 4 + 4 * rounds + 1))
    assert [change.at for change in changes] == sorted(change.at for change in changes)
    for name in names:
        assert len(store.entry_hashes(name)) == rounds


def test_processes_that_open_and_write_at_once_lose_nothing(url: str) -> None:
    rounds, names = 15, ("one", "two")
    command = [sys.executable, "-c", WRITER, url]
    processes = [
        subprocess.Popen(
            [*command, name, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outcomes = start_together(processes)

    assert outcomes == [(0, ""), (0, "")]
    store = open_store(url)
    revisions = [change.revision for change in store.list_changes()]
    assert revisions == list(range(1, 2 * (rounds + 1) + 1))
    for name in names:
        assert len(store.entry_hashes(ServerName(name))) == rounds
    store.close()


def start_together(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Release all before waiting for any; give exit statuses and what they complained of."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=WAIT_S)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]
