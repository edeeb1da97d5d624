"""Real ``toolcrib`` processes, killed and started again, and what they leave on the disk.

Two runs have converged when what they left is the same: entries, vectors, index and change log.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolcrib_embeddings import SearchIndex
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import HttpTransport, OwnedEntry, Server, ServerName

from . import audit
from .audit import require
from .live import WORKER_HEADER, LiveUpstream

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
CRASH_AT = "TOOLCRIB_CRASH_AT"
KILLED = -signal.SIGKILL
SERVERS = ("alpha", "beta", "gamma")
_DEADLINE_S = 90.0


@dataclass(frozen=True, slots=True)
class Home:
    """A data folder, and how to run Toolcrib on it."""

    folder: Path
    cache: Path

    @property
    def database(self) -> Path:
        return self.folder / "toolcrib.db"

    def open_store(self) -> Store:
        return open_store(f"sqlite:///{self.database}")

    def copy(self, folder: Path) -> Home:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Home(folder, self.cache)

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command; everything that a user's settings could change is left out."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("TOOLCRIB_")}
        places = {"TOOLCRIB_DATA_DIR": str(self.folder), "TOOLCRIB_CACHE_DIR": str(self.cache)}
        return subprocess.Popen(
            [str(TOOLCRIB), *args],
            env={**own, "WORKER": "worker", **places, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *args: str, **environment: str) -> tuple[int, str]:
        """Run a command to its end; returns its exit code (negative: the signal) and output."""
        process = self.start(*args, **environment)
        return finish(process)

    def expire_leases(self) -> None:
        """Let the time of every lease run out, as it would while nobody restarts anything."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("UPDATE leases SET expires_at = '2000-01-01 00:00:00'")


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise
    return process.returncode, output


# --- a home to begin from ----------------------------------------------------------------------


def found_home(folder: Path, cache: Path, upstream: LiveUpstream) -> Home:
    """Make a home whose servers are registered and synced as the upstream lists them now."""
    home = Home(folder, cache)
    folder.mkdir(parents=True)
    with closing(home.open_store()) as store:
        for name in SERVERS:
            link = HttpTransport(upstream.url(name), {WORKER_HEADER: "${WORKER}"})
            store.add_server(Server(name=ServerName(name), transport=link), actor="proof")
    code, output = home.run("sync")
    require(code == 0, f"the first sync ended with {code}: {output}")
    return home


def lists(version: int) -> dict[str, list[dict[str, Any]]]:
    """What the servers list: between any two versions something is new, changed, gone, renamed."""
    return {name: [*_tools(name, version)] for name in SERVERS}


def _tools(server: str, version: int) -> list[dict[str, Any]]:
    tools = [_tool(f"stays{n}", f"Stays in {server}, number {n}.") for n in range(4)]
    tools += [_tool(f"edited{n}", f"Says {n} of version {version} in {server}.") for n in range(2)]
    tools += [_tool(f"only_in_{version}_{n}", f"Was {n} of {version}.") for n in range(2)]
    return [*tools, _tool(f"named{version}", f"Of many names, one at a time, in {server}.")]


def _tool(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}}


# --- what a run leaves behind ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """What is compared between runs: all but times and the order among servers."""

    entries: Mapping[str, tuple[Any, ...]]
    vectors: Mapping[str, bytes]
    indexed: Mapping[str, bytes]
    changes: Counter[tuple[str, ...]]


def examine(home: Home, encoder: Encoder) -> Left:
    """Look at a home that nothing runs on.

    Raises:
        Divergence: It is not consistent in itself.
    """
    with closing(sqlite3.connect(home.database)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        vectors = dict(connection.execute("SELECT text_hash, vector FROM embeddings").fetchall())
    require(verdict == "ok", f"SQLite says: {verdict}")
    with closing(home.open_store()) as store:
        actual, replay = audit.read(store), audit.Replay()
        changes = replay.read_on(store)
        audit.check_log(replay, actual)
        indexed = _indexed(home, store, actual, encoder)
    owned = [entry for entry in actual.entries.values() if isinstance(entry, OwnedEntry)]
    entries: dict[str, tuple[Any, ...]] = {
        e.id: (e.content_hash, e.enabled, e.trust, e.pinned_hash, sorted(m.reason for m in e.marks))
        for e in owned
    }
    noted = Counter((c.action.value, c.subject, str(c.related)) for c in changes)
    return Left(entries, vectors, indexed, noted)


def _indexed(home: Home, store: Store, actual: audit.Actual, encoder: Encoder) -> dict[str, bytes]:
    """The snapshot's rows, which must be those that are live, at the head of the log."""
    index = SearchIndex.load(home.folder / "index", encoder)
    require(index.revision == actual.head, f"snapshot r{index.revision}, log r{actual.head}")
    live = {entry.id for entry in store.iter_entries(live=True)}
    require(set(index.ids()) == live, f"indexed and live differ: {set(index.ids()) ^ live}")
    dense = index._state.dense
    return {id_: dense.vectors[row].tobytes() for id_, row in dense.roster.rows.items()}


def compare(clean: Left, left: Left) -> None:
    """Require that a run that was killed and repeated left what a clean run leaves."""
    for what in ("entries", "vectors", "indexed"):
        wanted, found = getattr(clean, what), getattr(left, what)
        odd = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        require(not odd, f"{what} differ from a clean run in {odd}")
    short, extra = clean.changes - left.changes, left.changes - clean.changes
    require(not short and not extra, f"the log lacks {list(short)} and has {list(extra)} too many")


# --- killing -----------------------------------------------------------------------------------


def kill_at(home: Home, point: str, *args: str) -> None:
    """Run a command that kills itself at a named point, and require that it did."""
    code, output = home.run(*args, **{CRASH_AT: point})
    require(code == KILLED, f"never came to {point!r}: it ended with {code}: {output}")


def kill_after(home: Home, seconds: float, *args: str) -> bool:
    """Run a command and kill it after a while; tell whether it was still running."""
    process = home.start(*args)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    finish(process)
    return process.returncode == KILLED


def serve_until_converged(home: Home, wanted: Mapping[str, tuple[Any, ...]]) -> None:
    """Serve until all is as wanted, and rests, then end as an operator would."""
    process = home.start("serve", "--port", "0")
    # Before it says where it serves, nothing is there yet to hear a signal.
    assert process.stdout is not None
    require(any("serves" in line for line in process.stdout), "serve did not begin")
    deadline_s = time.monotonic() + _DEADLINE_S
    try:
        with closing(home.open_store()) as store:
            while not (_has(store, wanted) and _is_saved(home, store)):
                require(process.poll() is None, "serve ended by itself")
                require(time.monotonic() < deadline_s, "serve did not converge")
                time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        code, output = finish(process)
    require(code == 0, f"serve ended with {code}: {output}")


def _is_saved(home: Home, store: Store) -> bool:
    """Whether the snapshot is at the head of the log: a server at rest saves by itself."""
    manifest = home.folder / "index" / "manifest.json"
    if not manifest.exists():
        return False
    return json.loads(manifest.read_text())["header"]["revision"] == store.head()


def _has(store: Store, wanted: Mapping[str, tuple[Any, ...]]) -> bool:
    entries = store.iter_entries()
    return {e.id: e.content_hash for e in entries} == {id_: e[0] for id_, e in wanted.items()}
