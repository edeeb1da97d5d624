"""Views, and what each of them selects now.

A face of its own beside the store's, over the same database. Says which entries a view selects;
how they are shown and called is not its matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import Session, col, delete, insert, select, update

from toolcrib_registry.errors import AlreadyExists, EntryChanged, NotFound
from toolcrib_registry.tables import ViewRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    Member,
    Members,
    Page,
    Revision,
    ServerName,
    ToolOverride,
    View,
    ViewMode,
)

from .database import Database
from .log import ChangeLog, differing_fields
from .membership import members_of
from .names import near

_NEAR = 5


class ViewRecords:
    """The views. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, view: View, *, actor: str) -> View:
        """Add a view and give it back as stored.

        Raises:
            AlreadyExists: the name is taken.
        """
        with self._database.writing() as session:
            log = ChangeLog(session, actor=actor)
            if _find(session, view.name) is not None:
                raise AlreadyExists("view", view.name)
            return _write(session, log, None, view)

    def put(self, view: View, *, actor: str, seen: Revision | None = None) -> View:
        """Add a view, or replace the one of that name; nothing is written when nothing differs.

        ``seen``: the revision of the view that was shown to whoever changes it.

        Raises:
            EntryChanged: it is no longer what was seen.
            NotFound: it was seen, and is gone.
        """
        with self._database.writing() as session:
            log = ChangeLog(session, actor=actor)
            current = _get(session, view.name) if seen else _find(session, view.name)
            if current is None:
                return _write(session, log, None, view)
            if seen and current.revision != seen:
                raise EntryChanged("view", view.name, seen=seen, now=current.revision)
            return _write(session, log, current, view)

    def remove(self, name: str, *, actor: str) -> Change:
        """Remove a view; what it selected stays.

        Raises:
            NotFound: no such view; near names are offered.
        """
        with self._database.writing() as session:
            log = ChangeLog(session, actor=actor)
            view = _get(session, name)
            session.exec(delete(ViewRow).where(col(ViewRow.name) == name))
            log.note(ChangeAction.REMOVED, _subject(name), server=None, before=dump_view(view))
            (change,) = log.close()
            return change

    def get(self, name: str) -> View:
        """Get a view.

        Raises:
            NotFound: no such view; near names are offered.
        """
        with self._database.reading() as session:
            return _get(session, name)

    def find(self, name: str) -> View | None:
        """Find a view."""
        with self._database.reading() as session:
            return _find(session, name)

    def list(self, *, cursor: str | None = None, limit: int = 100) -> Page[View]:
        """List views by name."""
        query = select(ViewRow).order_by(col(ViewRow.name)).limit(limit + 1)
        if cursor is not None:
            query = query.where(ViewRow.name > cursor)
        with self._database.reading() as session:
            found = [_view_from(row) for row in session.exec(query)]
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].name if more else None)

    def iterate(self) -> Iterator[View]:
        """Give every view, by name."""
        cursor: str | None = None
        while True:
            page = self.list(cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def members(self, view: View) -> tuple[Member, ...]:
        """Give the tools, prompts and resources that a view selects, by id.

        Prompts and resources come with their servers and tags, never by name. Those that may not be
        used are given too, with the reason. Reads no definition: 60 ms for 10,000.
        """
        with self._database.reading() as session:
            return tuple(members_of(session, view))


def dump_view(view: View) -> dict[str, Any]:
    """Write all that is said of a view as JSON, as the change log keeps it."""
    return {"title": view.title, "description": view.description, **_body(view)}


# --- rows --------------------------------------------------------------------------------------


def _subject(name: str) -> str:
    return f"view:{name}"


def _find(session: Session, name: str) -> View | None:
    row = session.exec(select(ViewRow).where(ViewRow.name == name)).first()
    return None if row is None else _view_from(row)


def _get(session: Session, name: str) -> View:
    view = _find(session, name)
    if view is None:
        names = session.exec(select(ViewRow.name)).all()
        raise NotFound("view", name, near=near(name, names, limit=_NEAR))
    return view


def _write(session: Session, log: ChangeLog, current: View | None, view: View) -> View:
    before, after = current and dump_view(current), dump_view(view)
    fields = differing_fields(before, after) if before is not None else ()
    if current is not None and not fields:
        return current
    action = ChangeAction.ADDED if current is None else ChangeAction.UPDATED
    change = log.note(
        action, _subject(view.name), server=None, fields=fields, before=before, after=after
    )
    written = replace(
        view,
        revision=change.revision,
        added_at=current.added_at if current else log.at,
        updated_at=log.at,
    )
    if current is None:
        session.exec(insert(ViewRow), params=[_columns(written)])
    else:
        of_one = update(ViewRow).where(col(ViewRow.name) == view.name)
        session.exec(of_one.values(**_columns(written)))
    log.close()
    return written


def _columns(view: View) -> dict[str, Any]:
    return {
        "name": view.name,
        "revision": view.revision,
        "added_at": view.added_at,
        "updated_at": view.updated_at,
        "title": view.title,
        "description": view.description,
        "body": _body(view),
    }


def _body(view: View) -> dict[str, Any]:
    return {
        "include": _dump_members(view.include),
        "exclude": _dump_members(view.exclude),
        "overrides": [_dump_override(one) for one in view.overrides],
        "pinned": list(view.pinned),
        "mode": view.mode.value,
        "context_tokens": view.context_tokens,
        "share": view.share,
    }


def _view_from(row: ViewRow) -> View:
    body = row.body
    return View(
        name=row.name,
        title=row.title,
        description=row.description,
        include=_load_members(body["include"]),
        exclude=_load_members(body["exclude"]),
        overrides=tuple(_load_override(one) for one in body["overrides"]),
        pinned=tuple(body["pinned"]),
        mode=ViewMode(body["mode"]),
        context_tokens=body["context_tokens"],
        share=body["share"],
        revision=Revision(row.revision),
        added_at=row.added_at,
        updated_at=row.updated_at,
    )


def _dump_members(members: Members) -> dict[str, Any]:
    return {
        "servers": list(members.servers),
        "tags": list(members.tags),
        "tools": list(members.tools),
    }


def _load_members(body: Mapping[str, Sequence[str]]) -> Members:
    return Members(
        servers=tuple(map(ServerName, body["servers"])),
        tags=tuple(body["tags"]),
        tools=tuple(body["tools"]),
    )


def _dump_override(one: ToolOverride) -> dict[str, Any]:
    return {
        "tool": one.tool,
        "name": one.name,
        "title": one.title,
        "description": one.description,
        "defaults": dict(one.defaults),
        "fixed": dict(one.fixed),
        "hidden": list(one.hidden),
    }


def _load_override(body: Mapping[str, Any]) -> ToolOverride:
    known: dict[str, Any] = {**body, "hidden": tuple(body["hidden"])}
    return ToolOverride(**known)
