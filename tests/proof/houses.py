"""Opens the house under proof on a database that is empty again before each history.

An emptied file costs a millisecond, a new one with its engines a tenth of a second.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store

from .campaign import Reset
from .story import House

_EXPIRE = "UPDATE leases SET expires_at = '2000-01-01 00:00:00'"


@contextmanager
def sqlite_houses(folder: Path, kind: type[Store] = Store) -> Generator[Reset]:
    """Give what empties one SQLite file and opens the house on it."""
    empty, file = folder / "empty.db", folder / "toolcrib.db"
    open_store(f"sqlite:///{empty}").close()
    open_store(f"sqlite:///{file}").close()
    stores = tuple(kind(f"sqlite:///{file}") for _ in range(2))
    with closing(sqlite3.connect(empty)) as template:

        def reset() -> House:
            with closing(sqlite3.connect(file, isolation_level=None)) as target:
                template.backup(target)
            return _house(stores, folder / "indexes", _expire_in_sqlite(file))

        yield reset
    for store in stores:
        store.close()


@contextmanager
def postgres_houses(new_url: Callable[[], str], folder: Path) -> Generator[Reset]:
    """Give what makes a new schema on a PostgreSQL server and opens the house on it."""
    opened: list[Store] = []

    def reset() -> House:
        _close(opened)
        url = new_url()
        opened.extend(open_store(url) for _ in range(2))
        return _house(tuple(opened), folder / "indexes", _expire_in_postgres(url))

    yield reset
    _close(opened)


def _house(stores: tuple[Store, ...], folder: Path, expire: Callable[[], None]) -> House:
    shutil.rmtree(folder, ignore_errors=True)
    first, second = stores
    return House((first, second), folder, expire)


def _close(opened: list[Store]) -> None:
    while opened:
        opened.pop().close()


def _expire_in_sqlite(file: Path) -> Callable[[], None]:
    def expire() -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(_EXPIRE)

    return expire


def _expire_in_postgres(url: str) -> Callable[[], None]:
    def expire() -> None:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_EXPIRE)

    return expire
