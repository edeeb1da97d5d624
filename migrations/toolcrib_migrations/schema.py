"""Which schema versions this release knows, and which one a database has.

Costs no more than a query: Alembic is loaded only when there is something to upgrade.
"""

from __future__ import annotations

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

VERSION_TABLE = "toolcrib_version"
"""Alembic's table, under a name of ours: a PostgreSQL database may hold another's."""

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every version, the oldest first, as the files in ``versions/`` have them."""

HEAD = VERSIONS[-1]


def read_version(connection: Connection) -> str | None:
    """Read the version of a database; None when Toolcrib never wrote to it."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    query = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608  # a constant
    return connection.execute(query).scalar()
