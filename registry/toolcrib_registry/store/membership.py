"""What a view selects now: by server, by tag, by name, less what it excludes.

Reads the narrow columns of entries alone; knows nothing of how a view shows what it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ColumnElement, Table, Text, false, or_, type_coerce
from sqlalchemy import select as core_select
from sqlmodel import Session, SQLModel, col

from toolcrib_registry.tables import EntryRow, ServerRow
from toolcrib_registry.types import (
    EntryId,
    EntryKind,
    Member,
    Members,
    Revision,
    ServerName,
    Trust,
    View,
    entry_id,
)

from .entries import chunks
from .rows import is_live


def members_of(session: Session, view: View) -> Iterator[Member]:
    """Give what a view selects, by id, each with the reason if it may not be used."""
    servers = _servers(session)
    out = _Exclusion(view.exclude, servers)
    for id_, row in sorted(_selected(session, view.include, servers).items()):
        if not out.holds(row):
            yield Member(
                id=EntryId(id_),
                server=ServerName(row.server),
                revision=Revision(row.revision),
                absence=_absence(row, servers),
            )


@dataclass(frozen=True, slots=True)
class _Row:
    """The narrow columns of an entry."""

    id: str
    server: str
    revision: int
    enabled: bool
    trust: str
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Owner:
    """What a server's own row says of all its entries."""

    enabled: bool
    callable: bool
    tags: frozenset[str]


_Servers = Mapping[str, _Owner]


def _servers(session: Session) -> _Servers:
    table = _table(ServerRow)
    query = core_select(table.c.name, table.c.enabled, table.c.transport, table.c.tags)
    return {
        name: _Owner(enabled, is_live(transport), frozenset(tags))
        for name, enabled, transport, tags in session.connection().execute(query)
    }


def _selected(session: Session, include: Members, servers: _Servers) -> dict[str, _Row]:
    found = {row.id: row for row in _rows(session, _by_tag(include.tags))}
    # Without regard to case, on SQLite.
    found = {id_: row for id_, row in found.items() if not set(include.tags).isdisjoint(row.tags)}
    tagged = _tagged(include.tags, servers)
    for chunk in chunks(sorted(tagged.union(include.servers))):
        found.update((row.id, row) for row in _rows(session, col(EntryRow.server).in_(chunk)))
    for chunk in chunks(sorted(entry_id(EntryKind.TOOL, name) for name in include.tools)):
        found.update((row.id, row) for row in _rows(session, col(EntryRow.id).in_(chunk)))
    return found


def _rows(session: Session, condition: ColumnElement[bool]) -> Iterator[_Row]:
    table = _table(EntryRow)
    names = ("id", "server", "revision", "enabled", "trust", "tags")
    query = core_select(*(table.c[name] for name in names))
    owned = query.where(table.c.server.is_not(None), condition)
    return (_Row(*row) for row in session.connection().execute(owned))


def _by_tag(tags: Sequence[str]) -> ColumnElement[bool]:
    # The column is JSON: a tag stands in it as JSON writes it, between quotes.
    column = type_coerce(col(EntryRow.tags), Text)
    each = (column.contains(json.dumps(tag), autoescape=True) for tag in tags)
    return or_(false(), *each)


def _tagged(tags: Sequence[str], servers: _Servers) -> set[str]:
    return {name for name, its in servers.items() if not its.tags.isdisjoint(tags)}


def _table(of: type[SQLModel]) -> Table:
    return cast("Table", getattr(of, "__table__"))  # noqa: B009  # untyped in SQLModel


class _Exclusion:
    """What is out, however it was included."""

    def __init__(self, exclude: Members, servers: _Servers) -> None:
        self._tags = frozenset(exclude.tags)
        self._servers = _tagged(exclude.tags, servers).union(exclude.servers)
        self._tools = {entry_id(EntryKind.TOOL, name) for name in exclude.tools}

    def holds(self, row: _Row) -> bool:
        by_name = row.server in self._servers or row.id in self._tools
        return by_name or not self._tags.isdisjoint(row.tags)


def _absence(row: _Row, servers: _Servers) -> str | None:
    owner = servers[row.server]
    if row.trust == Trust.QUARANTINED.value:
        return "it is quarantined until somebody approves it"
    if not row.enabled:
        return "it is disabled"
    if not owner.enabled:
        return f"its server {row.server!r} is disabled"
    if not owner.callable:
        return f"it comes from the catalogue {row.server!r}, and cannot be called"
    return None
