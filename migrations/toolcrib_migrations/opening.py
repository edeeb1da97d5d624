"""Opening a database: a missing one is made, an older one upgraded, a newer one refused."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection

from toolcrib_registry.errors import StoreTooNew
from toolcrib_registry.store import Store
from toolcrib_registry.store.database import Database

from .schema import HEAD, VERSIONS, read_version

_BUSY_TIMEOUT_S = 5.0
_POSTGRES_LOCK = 0x746F6F6C63726962  # "toolcrib": an advisory lock is a number


def open_store(url: str, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> Store:
    """Bring the database at ``url`` to this release's schema and open it.

    A missing SQLite file is created with its folders, readable by its owner alone.

    Raises:
        InvalidInput: the URL names no database that Toolcrib can use.
        StoreTooNew: a later release wrote the database; it was not touched.
        StoreError: or another subclass, when the database fails.
    """
    upgrade(url, busy_timeout_s=busy_timeout_s)
    return Store(url, busy_timeout_s=busy_timeout_s)


def upgrade(url: str, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> None:
    """Bring the database at ``url`` to this release's schema, in one transaction.

    Costs a query when there is nothing to do. Of several processes at once, one does the work.

    Raises:
        InvalidInput: the URL names no database that Toolcrib can use.
        StoreTooNew: a later release wrote the database; it was not touched.
        StoreError: or another subclass, when the database fails.
    """
    database = Database(url, busy_timeout_s=busy_timeout_s)
    try:
        database.create_file()
        if not _is_current(database):
            database.prepare_for_writers()
            _upgrade(database)
    finally:
        database.close()


def _is_current(database: Database) -> bool:
    with database.reading() as session:
        found = read_version(session.connection())
    _refuse_newer(found, database)
    return found == HEAD


def _refuse_newer(found: str | None, database: Database) -> None:
    if found is None or found in VERSIONS:
        return
    raise StoreTooNew(
        f"The database {database.where} has schema {found}; this release of Toolcrib"
        f" ({version('toolcrib')}) knows schemas up to {HEAD}. Nothing was changed. Upgrade"
        " Toolcrib (pip install --upgrade toolcrib), or give another database"
        " (TOOLCRIB_DATABASE_URL, or TOOLCRIB_DATA_DIR for its folder)."
    )


def _upgrade(database: Database) -> None:
    with database.writing() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":  # on SQLite the unit of work is the lock
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": _POSTGRES_LOCK})
        # Another process may have been here while this one waited for the lock.
        found = read_version(connection)
        _refuse_newer(found, database)
        if found != HEAD:
            _run_steps(connection)


def _run_steps(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415  # the same

    config = Config()
    folder = str(Path(__file__).parent).replace("%", "%%")  # the option is interpolated
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
