"""The change log: every committed change takes the next revision, in commit order.

Opening it locks it until the unit of work ends, so a lower revision never commits after a higher.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, Text, col, func, insert, select, type_coerce, update
from sqlmodel.sql.expression import SelectOfScalar

from toolcrib_registry.tables import ChangeRow, LogHeadRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    JsonObject,
    Mark,
    Revision,
    ServerName,
    Tombstone,
    canonical_json,
)

from .rows import dump_marks, load_marks

_MAX_REVISION = 2**63 - 1


def head(session: Session) -> Revision:
    """Give the last revision, 0 in an empty registry."""
    return Revision(session.exec(select(LogHeadRow.revision)).one())


def list_changes(
    session: Session,
    *,
    since: Revision,
    limit: int,
    server: ServerName | None,
    subject: str | None,
    most_bytes: int | None = None,
) -> tuple[Change, ...]:
    """List the changes after ``since``, oldest first; no more of them than ``most_bytes`` hold."""
    query = _of(server, subject, since).order_by(col(ChangeRow.revision)).limit(limit)
    if most_bytes is not None:
        query = query.where(col(ChangeRow.revision) <= _cut_at(session, query, most_bytes))
    return tuple(change_from(row) for row in session.exec(query))


def list_subjects(
    session: Session, *, since: Revision, limit: int
) -> tuple[tuple[Revision, str], ...]:
    """Name whom the changes after ``since`` are about, oldest first."""
    query = select(ChangeRow.revision, ChangeRow.subject)
    query = query.where(ChangeRow.revision > min(since, _MAX_REVISION))
    found = session.exec(query.order_by(col(ChangeRow.revision)).limit(limit))
    return tuple((Revision(revision), subject) for revision, subject in found)


def last_changes(
    session: Session,
    *,
    since: Revision,
    limit: int,
    server: ServerName | None,
    subject: str | None,
    actions: Collection[ChangeAction] = (),
    until: Revision | None = None,
    most_bytes: int | None = None,
) -> tuple[Change, ...]:
    """List the last changes after ``since``, oldest first; only those actions, up to ``until``."""
    query = _of(server, subject, since).order_by(col(ChangeRow.revision).desc()).limit(limit)
    if actions:
        query = query.where(col(ChangeRow.action).in_([action.value for action in actions]))
    if until is not None:
        query = query.where(ChangeRow.revision <= until)
    if most_bytes is not None:
        cut_at = _cut_at(session, query, most_bytes, newest_first=True)
        query = query.where(col(ChangeRow.revision) >= cut_at)
    return tuple(change_from(row) for row in reversed(session.exec(query).all()))


def count_changes(session: Session, *, since: Revision) -> dict[ChangeAction, int]:
    """Count the changes after ``since`` by what happened."""
    query = select(ChangeRow.action, func.count()).where(ChangeRow.revision > since)
    return {
        ChangeAction(action): count
        for action, count in session.exec(query.group_by(ChangeRow.action))
    }


def find_tombstone(session: Session, subject: EntryId) -> Tombstone | None:
    """Find what is left of an entry whose last change is its removal."""
    change = next(
        iter(last_changes(session, since=Revision(0), limit=1, server=None, subject=subject)), None
    )
    if change is None or change.action is not ChangeAction.REMOVED:
        return None
    return Tombstone(
        id=subject,
        server=change.server,
        removed_at=change.at,
        revision=change.revision,
        replaced_by=change.related,
    )


def _cut_at(
    session: Session,
    query: SelectOfScalar[ChangeRow],
    most_bytes: int,
    *,
    newest_first: bool = False,
) -> int:
    """Tell the last revision of a query, in its order, up to which its definitions are so large.

    One is never too large. The lengths are asked for first, so that a log of huge definitions is
    never read into memory whole.
    """
    found = query.subquery()
    before, after = (func.length(type_coerce(found.c[side], Text)) for side in ("before", "after"))
    size = func.coalesce(before, 0) + func.coalesce(after, 0)
    order = found.c.revision.desc() if newest_first else found.c.revision
    at, total = 0, 0
    for revision, its_size in session.exec(select(found.c.revision, size).order_by(order)):
        total += its_size
        if at and total > most_bytes:
            break
        at = revision
    return at


def _of(
    server: ServerName | None, subject: str | None, since: Revision
) -> SelectOfScalar[ChangeRow]:
    query = select(ChangeRow).where(ChangeRow.revision > min(since, _MAX_REVISION))
    if server is not None:
        query = query.where(ChangeRow.server == server)
    if subject is not None:
        query = query.where(ChangeRow.subject == subject)
    return query


class ChangeLog:
    """The log, held for writing by one unit of work. What is noted is written by `close`."""

    def __init__(self, session: Session, *, actor: str) -> None:
        self._session = session
        self._actor = actor
        # SQLite has no row locks and needs none: a writing unit holds the whole database.
        locked = select(LogHeadRow.revision).with_for_update()
        self._head = session.exec(locked).one()
        self._noted: list[Change] = []
        self.at = datetime.now(UTC)

    @property
    def next_revision(self) -> Revision:
        """The revision that the next note takes."""
        return Revision(self._head + len(self._noted) + 1)

    def note(
        self,
        action: ChangeAction,
        subject: str,
        *,
        server: ServerName | None,
        fields: Sequence[str] = (),
        before: JsonObject | None = None,
        after: JsonObject | None = None,
        related: EntryId | None = None,
        marks: Sequence[Mark] = (),
    ) -> Change:
        """Take the next revision for a change."""
        change = Change(
            revision=self.next_revision,
            at=self.at,
            actor=self._actor,
            action=action,
            subject=subject,
            server=server,
            fields=tuple(fields),
            before=before,
            after=after,
            related=related,
            marks=tuple(marks),
        )
        self._noted.append(change)
        return change

    def close(self) -> tuple[Change, ...]:
        """Write what was noted, and give it back in order."""
        if self._noted:
            rows = [change_columns(change) for change in self._noted]
            # Past the ORM, which would look at each of thousands of rows and change none.
            self._session.connection().execute(insert(ChangeRow), rows)
            moved = update(LogHeadRow).values(revision=self._head + len(self._noted))
            self._session.exec(moved)
        return tuple(self._noted)


def switched(*, enabled: bool) -> ChangeAction:
    """Name the change that a switch makes."""
    return ChangeAction.ENABLED if enabled else ChangeAction.DISABLED


def differing_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the top-level fields that differ as JSON (where 1 is not true), sorted."""
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if _field(before, name) != _field(after, name)))


def _field(body: Mapping[str, Any], name: str) -> str | None:
    return canonical_json(body[name]) if name in body else None


def change_columns(change: Change) -> dict[str, Any]:
    """Give the columns of a change."""
    return {
        "revision": change.revision,
        "at": change.at,
        "actor": change.actor,
        "action": change.action.value,
        "subject": change.subject,
        "server": change.server,
        "fields": list(change.fields),
        "before": None if change.before is None else dict(change.before),
        "after": None if change.after is None else dict(change.after),
        "related": change.related,
        "marks": dump_marks(change.marks),
    }


def change_from(row: ChangeRow) -> Change:
    """Read a change off its row."""
    return Change(
        revision=Revision(row.revision),
        at=row.at,
        actor=row.actor,
        action=ChangeAction(row.action),
        subject=row.subject,
        server=None if row.server is None else ServerName(row.server),
        fields=tuple(row.fields),
        before=row.before,
        after=row.after,
        related=None if row.related is None else EntryId(row.related),
        marks=load_marks(row.marks),
    )
