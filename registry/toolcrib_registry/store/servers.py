"""Registered servers: their settings, which the change log follows, and their health, which not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Select, Table, bindparam
from sqlalchemy import select as core_select
from sqlalchemy import update as core_update
from sqlmodel import Session, col, delete, insert, select, update

from toolcrib_registry.errors import AlreadyExists, NotFound
from toolcrib_registry.tables import EntryRow, LeaseRow, ServerRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    Page,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
)

from .entries import chunks
from .log import ChangeLog, differing_fields, switched
from .names import near
from .rows import dump_transport, health_columns, is_live, server_columns, server_from

_NEAR = 5
_SECRET_MAPS = ("env", "headers")


def find(session: Session, name: ServerName) -> Server | None:
    """Find a server by name."""
    row = session.exec(select(ServerRow).where(ServerRow.name == name)).first()
    return None if row is None else server_from(row)


def find_many(session: Session, names: Sequence[ServerName]) -> dict[ServerName, Server]:
    """Find servers by name; absent ones are left out."""
    table = _table()
    found: dict[ServerName, Server] = {}
    for chunk in chunks(list(dict.fromkeys(names))):
        read = _read(session, core_select(table).where(table.c.name.in_(chunk)))
        found.update((server.name, server) for server in read)
    return found


def enabled_names(session: Session) -> tuple[ServerName, ...]:
    """Give the names of the enabled servers, in order."""
    table = _table()
    query = core_select(table.c.name).where(table.c.enabled).order_by(table.c.name)
    return tuple(ServerName(name) for name in session.connection().execute(query).scalars())


def sync_plans(session: Session) -> dict[ServerName, datetime | None]:
    """Give each enabled server that can be asked, by name, with when that is due."""
    table = _table()
    query = core_select(table.c.name, table.c.next_attempt_at, table.c.transport)
    rows = session.connection().execute(query.where(table.c.enabled).order_by(table.c.name))
    return {ServerName(name): due_at for name, due_at, transport in rows if is_live(transport)}


def get(session: Session, name: ServerName) -> Server:
    """Get a server by name.

    Raises:
        NotFound: with near names.
    """
    server = find(session, name)
    if server is None:
        names = session.exec(select(ServerRow.name)).all()
        raise NotFound("server", name, near=near(name, names, limit=_NEAR))
    return server


def list_page(session: Session, *, cursor: str | None, limit: int) -> Page[Server]:
    """List servers by name; a cursor is the last name seen."""
    query = core_select(_table()).order_by(col(ServerRow.name)).limit(limit + 1)
    if cursor is not None:
        query = query.where(col(ServerRow.name) > cursor)
    found = _read(session, query)
    more = len(found) > limit
    return Page(tuple(found[:limit]), found[limit - 1].name if more else None)


def add(session: Session, server: Server, *, actor: str) -> Server:
    """Register a server, with a change."""
    (added,) = add_all(session, [server], actor=actor)
    return added


def add_all(session: Session, new: Sequence[Server], *, actor: str) -> tuple[Server, ...]:
    """Register servers, each with a change.

    Raises:
        AlreadyExists: a name is taken, or comes twice.
    """
    log = ChangeLog(session, actor=actor)
    taken = set(session.exec(select(ServerRow.name)).all()) if new else set[str]()
    added: list[Server] = []
    for server in new:
        if server.name in taken:
            raise AlreadyExists("server", server.name)
        taken.add(server.name)
        added.append(replace(server, added_at=server.added_at or log.at))
        shown = _shown(_settings(added[-1]))
        log.note(ChangeAction.ADDED, _subject(server.name), server=server.name, after=shown)
    if added:
        session.exec(insert(ServerRow), params=[server_columns(server) for server in added])
    log.close()
    return tuple(added)


def change(session: Session, server: Server, *, actor: str) -> Server:
    """Replace a server's settings, with a change if any differs."""
    log = ChangeLog(session, actor=actor)
    current = get(session, server.name)
    changed = replace(server, health=current.health, added_at=current.added_at)
    before, after = _settings(current), _settings(changed)
    fields = differing_fields(before, after)
    if not fields:
        return current
    values = server_columns(changed)
    session.exec(update(ServerRow).where(col(ServerRow.name) == server.name).values(**values))
    only_switched = fields == ("enabled",)
    log.note(
        switched(enabled=changed.enabled) if only_switched else ChangeAction.UPDATED,
        _subject(changed.name),
        server=changed.name,
        fields=() if only_switched else fields,
        before=_shown(before),
        after=_shown(after),
    )
    log.close()
    return changed


def remove(session: Session, name: ServerName, *, actor: str) -> tuple[Change, ...]:
    """Remove a server and all it owns, each with a change, the server's own last."""
    log = ChangeLog(session, actor=actor)
    server = get(session, name)
    owned = select(EntryRow).where(EntryRow.server == name).order_by(col(EntryRow.id))
    for row in session.exec(owned):
        log.note(ChangeAction.REMOVED, row.id, server=name, before=row.definition)
    session.exec(delete(EntryRow).where(col(EntryRow.server) == name))
    session.exec(delete(LeaseRow).where(col(LeaseRow.server) == name))
    session.exec(delete(ServerRow).where(col(ServerRow.name) == name))
    log.note(ChangeAction.REMOVED, _subject(name), server=name, before=_shown(_settings(server)))
    return log.close()


def set_healths(session: Session, healths: Mapping[ServerName, ServerHealth]) -> None:
    """Replace what is known of servers' health, without a change. Unknown ones are passed over."""
    known = _names(session, list(healths))
    rows = [
        {"of_name": name, **health_columns(health)}
        for name, health in sorted(healths.items())
        if name in known
    ]
    if rows:
        table = _table()
        of_one = core_update(table).where(table.c.name == bindparam("of_name"))
        session.connection().execute(of_one, rows)


def stale(session: Session) -> dict[ServerName, datetime]:
    """Give the servers that cannot be reached now but could be, with when they last answered."""
    query = select(ServerRow.name, ServerRow.synced_at).where(
        ServerRow.status == ServerStatus.UNREACHABLE.value, col(ServerRow.synced_at).is_not(None)
    )
    return {ServerName(name): at for name, at in session.exec(query) if at is not None}


def check_exist(session: Session, names: Sequence[ServerName]) -> None:
    """Refuse names that are not registered.

    Raises:
        NotFound: with near names.
    """
    known = _names(session, names)
    for name in names:
        if name not in known:
            get(session, name)


def _table() -> Table:
    return cast("Table", getattr(ServerRow, "__table__"))  # noqa: B009  # untyped in SQLModel


def _read(session: Session, query: Select[Any]) -> list[Server]:
    rows = session.connection().execute(query).all()
    # They have a row's columns, and none of what the ORM keeps of rows it may have to write.
    return [server_from(row) for row in cast("Sequence[ServerRow]", rows)]


def _names(session: Session, names: Sequence[ServerName]) -> set[str]:
    found: set[str] = set()
    for chunk in chunks(names):
        found.update(session.exec(select(ServerRow.name).where(col(ServerRow.name).in_(chunk))))
    return found


def _subject(name: ServerName) -> str:
    return f"server:{name}"


def _settings(server: Server) -> dict[str, Any]:
    """Give all that a person set, flat, values of ``env`` and ``headers`` included."""
    transport = dump_transport(server.transport)
    return {
        "transport": transport.pop("type"),
        **transport,
        "enabled": server.enabled,
        "tags": list(server.tags),
        "on_change": server.on_change.value,
        "origin": server.origin,
        "start_timeout_s": server.start_timeout_s,
        "call_timeout_s": server.call_timeout_s,
    }


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings as the change log keeps them: of ``env`` and ``headers``, only the keys."""
    hidden = {key: sorted(settings[key]) for key in _SECRET_MAPS if key in settings}
    return {**settings, **hidden}
