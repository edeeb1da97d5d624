"""One database, SQLite or PostgreSQL: how it is opened, and how a unit of work reads or writes it.

Knows connections, locks and transactions. Knows nothing of rows, tables or migrations.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlmodel import Session, create_engine

from toolcrib_registry.errors import InvalidInput, StoreError

from .failures import describe_location, store_failure, translated_failures

_SQLITE_BEGIN = "toolcrib_sqlite_begin"
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_CACHE_KIB = 8 * 1024
_CHECKPOINT_PAGES = 4_000
"""16 MB of log: imports write the same pages over and over, and a checkpoint waits for the disk."""
_WAL_RETRY_S = 0.02
_POOL_SIZE = 5
_POOL_OVERFLOW = 45  # above the 40 worker threads that anyio runs by default

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """An opened database. Safe to share between threads: each unit of work has its own session."""

    def __init__(self, url: str, *, busy_timeout_s: float) -> None:
        self.url = parse_url(url)
        self.where = describe_location(self.url)
        self._busy_timeout_s = busy_timeout_s
        with self.translating():
            self._engine = _open_engine(self.url, self.where, busy_timeout_s)
        self._readers, self._writers = _units(self._engine)
        self._writing = threading.Lock()

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database given by its path; None for any other."""
        plain_file = self.url.get_backend_name() == "sqlite" and "uri" not in self.url.query
        return Path(self.url.database or "") if plain_file else None

    @contextmanager
    def translating(self) -> Generator[None]:
        """Raise what the database raises inside as a `StoreError`."""
        with translated_failures(self.where, timeout_s=self._busy_timeout_s):
            yield

    @contextmanager
    def reading(self) -> Generator[Session]:
        """Open a unit of work over one unchanging snapshot."""
        with self.translating(), Session(self._readers) as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session]:
        """Open a unit of work that is committed whole, or not at all.

        On SQLite it has the write lock from the start; on PostgreSQL whoever needs one takes it.
        """
        with self.translating(), self._turn(), Session(self._writers) as session, session.begin():
            yield session

    @contextmanager
    def _turn(self) -> Generator[None]:
        """Wait for this process's other writers: SQLite would have each sleep and look again."""
        if self._engine.dialect.name != "sqlite":
            yield
            return
        # Whoever waits in vain asks the database all the same, which says that it is busy.
        taken = self._writing.acquire(timeout=self._busy_timeout_s)
        try:
            yield
        finally:
            if taken:
                self._writing.release()

    def create_file(self) -> None:
        """Make the file of a SQLite database and its folders, for this user's eyes only."""
        if self.file is None or self.file.exists():
            return
        with self.translating():
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.file.touch(mode=0o600)

    def prepare_for_writers(self) -> None:
        """Let readers go on while one writes: SQLite's write-ahead log, which a file remembers."""
        if self._engine.dialect.name != "sqlite":
            return
        deadline_s = time.monotonic() + self._busy_timeout_s
        with self.translating(), closing(self._engine.raw_connection()) as connection:
            while not _switch_to_wal(connection.cursor(), last=time.monotonic() > deadline_s):
                time.sleep(_WAL_RETRY_S)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()


def parse_url(text: str) -> URL:
    """Read a database URL. A plain ``postgresql://`` gets the driver that Toolcrib ships with.

    Raises:
        InvalidInput: not a URL, not an engine that Toolcrib knows, or a database in memory.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # the text is not quoted: it may hold a password
        raise InvalidInput(
            "The database URL cannot be read. Use sqlite:///FILE or postgresql://USER@HOST/DATABASE."
        ) from error
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise InvalidInput(
            f"The database URL names {url.drivername!r}, which Toolcrib does not know."
            " Use sqlite:///FILE or postgresql://USER@HOST/DATABASE."
        )
    if driver == "sqlite" and url.database in {None, "", ":memory:"}:
        raise InvalidInput("The database URL names no file. Use sqlite:///FILE.")
    return url.set(drivername=driver)


def _open_engine(url: URL, where: str, busy_timeout_s: float) -> Engine:
    pool: dict[str, Any] = {
        "pool_size": _POOL_SIZE,
        "max_overflow": _POOL_OVERFLOW,
        "pool_timeout": busy_timeout_s,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": busy_timeout_s}, **pool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    own_options = f"-c lock_timeout={max(1, round(busy_timeout_s * 1000))} -c timezone=UTC"
    options = f"{url.query.get('options', '')} {own_options}"
    arguments = {"options": options, "connect_timeout": max(2, round(busy_timeout_s))}
    try:
        return create_engine(url, connect_args=arguments, pool_pre_ping=True, **pool)
    except ImportError as error:
        reason = "its driver is missing; install it with: pip install 'toolcrib[postgres]'"
        raise store_failure(StoreError, where=where, reason=reason) from error


def _units(engine: Engine) -> tuple[Engine, Engine]:
    """Give the readers' and the writers' view of one engine and its pool."""
    if engine.dialect.name == "sqlite":
        readers: dict[str, Any] = {_SQLITE_BEGIN: "BEGIN"}
        writers: dict[str, Any] = {_SQLITE_BEGIN: "BEGIN IMMEDIATE"}
    else:
        readers = {"isolation_level": "REPEATABLE READ"}
        writers = {"isolation_level": "READ COMMITTED"}
    return engine.execution_options(**readers), engine.execution_options(**writers)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions by itself, and never immediate ones.
    connection.isolation_level = None
    # SQLite's own knows ASCII only; PostgreSQL's knows the database's locale.
    connection.create_function("lower", 1, _lower, deterministic=True)
    for pragma in (
        "foreign_keys = ON",
        "synchronous = NORMAL",
        f"journal_size_limit = {_WAL_KEPT_BYTES}",
        f"cache_size = -{_CACHE_KIB}",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _switch_to_wal(cursor: Any, *, last: bool) -> bool:
    """Try once. SQLite does not wait for a lock here, whatever the timeout."""
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get(_SQLITE_BEGIN, "BEGIN")
    connection.exec_driver_sql(begin)
