"""Two real processes on one database: a server is never reconciled by both, and no late write."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from toolcrib_registry.types import Revision

from .live import LiveUpstream
from .processes import SERVERS, Home, finish, found_home, lists

CACHE = Path(__file__).parents[2] / ".cache"
WAIT_S = 90.0

pytestmark = pytest.mark.timeout(300)  # a machine may be busy: what waits has its own deadlines


@pytest.fixture
def upstream() -> Iterator[LiveUpstream]:
    with LiveUpstream(lists(1)) as live:
        yield live


@pytest.fixture
def home(tmp_path: Path, upstream: LiveUpstream) -> Home:
    return found_home(tmp_path / "home", CACHE, upstream)


def test_a_server_is_listed_by_one_process_at_a_time(home: Home, upstream: LiveUpstream) -> None:
    often = {"TOOLCRIB_SYNC_INTERVAL_S": "0.5", "TOOLCRIB_SYNC_MIN_INTERVAL_S": "0.1"}
    upstream.page_delay_s = 0.1
    upstream.asked.clear()
    workers = ("first", "second")
    serving = [home.start("serve", "--port", "0", WORKER=name, **often) for name in workers]
    try:
        until(lambda: all(rounds(upstream, name) >= 2 for name in workers))
        for version in (2, 3):
            upstream.lists = lists(version)
            until(lambda version=version: catalogue(home) == wanted(version))
            asked = len(upstream.asked)
            until(lambda asked=asked: len(upstream.asked) > asked + 2 * len(SERVERS))
        overlaps = upstream.overlaps()  # before a listing is given up with its process
    finally:
        ended = [stop(process) for process in serving]
    assert ended == [0, 0]
    assert overlaps == []


def test_a_process_that_was_stopped_past_its_lease_writes_nothing_late(
    home: Home, upstream: LiveUpstream
) -> None:
    upstream.lists = lists(2)
    go_on = upstream.hold("late")
    late = home.start("sync", WORKER="late")
    assert upstream.reached["late"].wait(WAIT_S)
    os.kill(late.pid, signal.SIGSTOP)
    go_on.set()  # the answer of version 2 is on its way to a process that does not read
    upstream.lists = lists(3)
    home.expire_leases()
    code, output = home.run("sync", WORKER="prompt")
    assert code == 0, output
    head = written(home)
    assert catalogue(home) == wanted(3)
    os.kill(late.pid, signal.SIGCONT)
    _, said = finish(late)
    assert written(home) == head, said
    assert catalogue(home) == wanted(3)
    assert "taken over" in said or "another" in said.lower(), said


def test_leases_are_what_keeps_them_apart(home: Home, upstream: LiveUpstream) -> None:
    """Without its lease a process does list a server that another is listing: this can be seen."""
    upstream.asked.clear()
    go_on = upstream.hold("first")
    first = home.start("sync", WORKER="first")
    assert upstream.reached["first"].wait(WAIT_S)
    home.expire_leases()
    code, output = home.run("sync", WORKER="second")
    assert code == 0, output
    go_on.set()
    finish(first)
    assert {(a.worker, b.worker) for a, b in upstream.overlaps()} == {("first", "second")}


# --- looking from outside ----------------------------------------------------------------------


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)


def rounds(upstream: LiveUpstream, worker: str) -> int:
    return sum(asked.worker == worker for asked in list(upstream.asked))


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return finish(process)[0]


def catalogue(home: Home) -> set[str]:
    with closing(sqlite3.connect(home.database)) as connection:
        return {id_ for (id_,) in connection.execute("SELECT id FROM entries")}


def wanted(version: int) -> set[str]:
    listed = lists(version)
    return {f"tool:{name}__{tool['name']}" for name in SERVERS for tool in listed[name]}


def written(home: Home) -> Revision:
    with closing(home.open_store()) as store:
        return store.head()
