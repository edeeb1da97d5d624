"""What a failing database means to the person who runs it: one translation for all work on it.

Knows the error codes of SQLite and PostgreSQL. Never quotes a statement, its values or a password.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from toolcrib_registry.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from toolcrib_registry.tables import UnreadableValueError

_SQLITE: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_READONLY: StoreReadOnly,
    sqlite3.SQLITE_PERM: StoreReadOnly,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_CORRUPT: StoreDamaged,
    sqlite3.SQLITE_NOTADB: StoreDamaged,
}
_SQLITE_CANNOT_OPEN = "it cannot be opened; it must be a file, in a folder that this user may enter"
_SQLITE_PRIMARY_CODE = 0xFF  # the rest of an extended code says where it happened

_POSTGRES: dict[str, type[StoreError]] = {
    "55P03": StoreBusy,  # lock_not_available
    "40P01": StoreBusy,  # deadlock_detected
    "40001": StoreBusy,  # serialization_failure
    "53300": StoreBusy,  # too_many_connections
    "25006": StoreReadOnly,  # read_only_sql_transaction
    "42501": StoreReadOnly,  # insufficient_privilege
    "53100": StoreFull,  # disk_full
    "XX001": StoreDamaged,  # data_corrupted
    "XX002": StoreDamaged,  # index_corrupted
}

_ERRNO: dict[int, type[StoreError]] = {
    errno.EACCES: StoreReadOnly,
    errno.EPERM: StoreReadOnly,
    errno.EROFS: StoreReadOnly,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
}

_ADVICE: dict[type[StoreError], str] = {
    StoreBusy: (
        "The database {where} is held by another process or task for longer than {timeout_s:g} s."
        " Nothing was changed. Try again; if it stays so, stop the other program that uses it."
    ),
    StoreReadOnly: (
        "The database {where} cannot be written: {reason}. Nothing was changed. Let this user"
        " write the file and its folder, or set TOOLCRIB_DATA_DIR to a folder it may write."
    ),
    StoreFull: (
        "There is no room left for the database {where}. Nothing was changed; what it held is"
        " intact. Free space on that disk and try again."
    ),
    StoreDamaged: (
        "{where} is not an intact Toolcrib database: {reason}. It was left as it is. Restore it"
        " from a backup, or move it away to start with an empty one."
    ),
    StoreError: "The database {where} failed: {reason}. Nothing was changed.",
}


def describe_location(url: URL) -> str:
    """Name a database for a person: the file, or the server and database, without credentials."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}"


def store_failure(
    kind: type[StoreError], *, where: str, reason: str, timeout_s: float = 0.0
) -> StoreError:
    """Make the error of ``kind``: what happened to which database, and what to do."""
    plain_reason = " ".join(reason.split()).rstrip(".?")
    return kind(_ADVICE[kind].format(where=where, reason=plain_reason, timeout_s=timeout_s))


@contextmanager
def translated_failures(where: str, *, timeout_s: float) -> Generator[None]:
    """Raise whatever the database layer raises inside as a `StoreError`.

    Raises:
        StoreError: or the subclass that says more.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, UnreadableValueError, OSError) as error:
        kind, reason = _classify(error)
        raise store_failure(kind, where=where, reason=reason, timeout_s=timeout_s) from error


def _classify(error: Exception) -> tuple[type[StoreError], str]:
    match error:
        case UnreadableValueError():
            return StoreDamaged, str(error)
        case PoolTimeoutError():
            return StoreBusy, "every connection is in use"
        case sqlite3.Error() as cause:
            return _classify_cause(cause)
        case DBAPIError(orig=BaseException() as cause):
            return _classify_cause(cause)
        case OSError():
            kind = _ERRNO.get(error.errno or 0, StoreError)
            return kind, f"{error.strerror} ({error.filename})"
        case _:
            return StoreError, type(error).__name__


def _classify_cause(cause: BaseException) -> tuple[type[StoreError], str]:
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _POSTGRES.get(state, StoreError), str(cause)
    code = getattr(cause, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return StoreError, str(cause)
    primary = code & _SQLITE_PRIMARY_CODE
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreError, _SQLITE_CANNOT_OPEN
    return _SQLITE.get(primary, StoreError), str(cause)
