"""Calls in the order they came, and what nobody wants learned from them or brought along.

A face of its own beside the store's, over the same database. Knows no search: what follows from
the order of calls is decided where it is read.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, delete, func, select

from toolcrib_registry.tables import CallRow, ForgottenCallsRow, RefusedNeedRow
from toolcrib_registry.types import (
    CallStep,
    EntryId,
    EntryKind,
    ForgottenCalls,
    ServerName,
    entry_id,
)

from .database import Database

_WORKED = "ok"
_READ_FOR_ONE = 4
"""Calls looked through for each that is listed."""


class NeedRecords:
    """What learning of needs reads and is told. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest_call(self) -> str | None:
        """Give the id of the latest call of any kind; None while there is none."""
        query = select(CallRow.id).order_by(col(CallRow.at).desc(), col(CallRow.id).desc())
        with self._database.reading() as session:
            return session.exec(query.limit(1)).first()

    def list_steps(self, *, since: datetime, each: int, limit: int) -> tuple[CallStep, ...]:
        """List calls of tools that worked, the oldest first: the latest ``each`` of a principal.

        Of at most ``limit``, the latest ones; one who calls much does not push out the others.
        """
        latest = (
            select(CallRow.id, CallRow.principal, CallRow.at)
            .where(
                col(CallRow.subject).startswith(entry_id(EntryKind.TOOL, "")),
                CallRow.outcome == _WORKED,
                col(CallRow.at) >= since,
            )
            .order_by(col(CallRow.at).desc(), col(CallRow.id).desc())
            .limit(_READ_FOR_ONE * limit)
            .subquery()
        )
        newest_first = (latest.c.at.desc(), latest.c.id.desc())
        place = func.row_number().over(partition_by=latest.c.principal, order_by=newest_first)
        ranked = select(latest.c.id, place.label("place")).subquery()
        query = (
            select(CallRow.at, CallRow.principal, CallRow.subject, CallRow.server)
            .join(ranked, col(CallRow.id) == ranked.c.id)
            .where(ranked.c.place <= each)
            .order_by(ranked.c.place, col(CallRow.id))
            .limit(limit)
        )
        with self._database.reading() as session:
            found = [_step(*row) for row in session.exec(query)]
        return tuple(sorted(found, key=lambda step: step.at))

    def refuse(self, entry: EntryId, needed: EntryId, *, at: datetime, actor: str) -> bool:
        """Let nothing learned bring ``needed`` along with ``entry``; False: it is so already."""
        with self._database.writing() as session:
            if session.get(RefusedNeedRow, (entry, needed)) is not None:
                return False
            session.add(RefusedNeedRow(entry=entry, needed=needed, at=at, actor=actor))
            return True

    def allow(self, entry: EntryId, needed: EntryId) -> bool:
        """Take a refusal back; False when there is none."""
        mine = (col(RefusedNeedRow.entry) == entry, col(RefusedNeedRow.needed) == needed)
        with self._database.writing() as session:
            return session.exec(delete(RefusedNeedRow).where(*mine)).rowcount > 0

    def list_refused(self) -> frozenset[tuple[EntryId, EntryId]]:
        """List the pairs that are refused."""
        query = select(RefusedNeedRow.entry, RefusedNeedRow.needed)
        with self._database.reading() as session:
            return frozenset((EntryId(a), EntryId(b)) for a, b in session.exec(query))

    def forget_calls(self, *, tenant: str | None, principal: str | None, until: datetime) -> None:
        """Let nothing be learned from calls before a time that fit all that is given.

        The audit keeps them.
        """
        with self._database.writing() as session:
            key = (tenant or "", principal or "")
            row = session.get(ForgottenCallsRow, key)
            if row is None:
                session.add(ForgottenCallsRow(tenant=key[0], principal=key[1], until=until))
            elif row.until < until:
                row.until = until
                session.add(row)

    def list_forgotten(self) -> tuple[ForgottenCalls, ...]:
        """List what nothing is learned from."""
        with self._database.reading() as session:
            return _forgotten(session)


def _forgotten(session: Session) -> tuple[ForgottenCalls, ...]:
    rows = session.exec(select(ForgottenCallsRow))
    return tuple(
        ForgottenCalls(row.tenant or None, row.principal or None, row.until) for row in rows
    )


def _step(at: datetime, principal: str, subject: str, server: str | None) -> CallStep:
    return CallStep(at, principal, EntryId(subject), None if server is None else ServerName(server))
