"""The change log: every committed change takes the next revision, in commit order.

Opening it locks it until the unit of work ends, so a lower revision never commits after a higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, insert, select, update

from toolcrib_registry.tables import ChangeRow, LogHeadRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    JsonObject,
    Revision,
    ServerName,
    canonical_json,
)

_MAX_REVISION = 2**63 - 1


def head(session: Session) -> Revision:
    """Give the last revision, 0 in an empty registry."""
    return Revision(session.exec(select(LogHeadRow.revision)).one())


def list_changes(
    session: Session, *, since: Revision, limit: int, server: ServerName | None
) -> tuple[Change, ...]:
    """List the changes after ``since``, oldest first."""
    query = select(ChangeRow).where(ChangeRow.revision > min(since, _MAX_REVISION))
    if server is not None:
        query = query.where(ChangeRow.server == server)
    rows = session.exec(query.order_by(col(ChangeRow.revision)).limit(limit))
    return tuple(change_from(row) for row in rows)


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
        )
        self._noted.append(change)
        return change

    def close(self) -> tuple[Change, ...]:
        """Write what was noted, and give it back in order."""
        if self._noted:
            rows = [change_columns(change) for change in self._noted]
            self._session.exec(insert(ChangeRow), params=rows)
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
    )
