"""The audit of calls: who called what by which face, and what came of it. Never what was passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, insert, select

from toolcrib_registry.tables import CallRow
from toolcrib_registry.types import CallRecord, EntryId, EntryKind, ServerName, entry_id

from .entries import chunks


def record(session: Session, records: Sequence[CallRecord]) -> None:
    """Add audit records."""
    if records:
        session.exec(insert(CallRow), params=[call_columns(one) for one in records])


def list_latest(
    session: Session,
    *,
    kind: EntryKind | None,
    since: datetime | None,
    principal: str | None = None,
    limit: int,
) -> tuple[CallRecord, ...]:
    """List the latest records, newest first."""
    query = select(CallRow).order_by(col(CallRow.at).desc(), col(CallRow.id).desc()).limit(limit)
    if principal is not None:
        query = query.where(CallRow.principal == principal)
    if kind is not None:
        query = query.where(col(CallRow.subject).startswith(entry_id(kind, "")))
    if since is not None:
        query = query.where(CallRow.at >= since)
    return tuple(call_from(row) for row in session.exec(query))


def list_ids(session: Session, *, kind: EntryKind, since: datetime, limit: int) -> tuple[str, ...]:
    """List the ids of the latest records of a kind, newest first."""
    query = select(CallRow.id).order_by(col(CallRow.at).desc(), col(CallRow.id).desc())
    of_kind = col(CallRow.subject).startswith(entry_id(kind, ""))
    return tuple(session.exec(query.where(of_kind, CallRow.at >= since).limit(limit)))


def find_many(session: Session, ids: Sequence[str]) -> tuple[CallRecord, ...]:
    """Find records by id, newest first."""
    found: list[CallRecord] = []
    for chunk in chunks(list(ids)):
        query = select(CallRow).where(col(CallRow.id).in_(chunk))
        found += [call_from(row) for row in session.exec(query)]
    return tuple(sorted(found, key=lambda one: (one.at, one.id), reverse=True))


def call_columns(record: CallRecord) -> dict[str, Any]:
    """Give the columns of an audit record."""
    return {
        "id": record.id,
        "at": record.at,
        "subject": record.subject,
        "server": record.server,
        "face": record.face,
        "principal": record.principal,
        "outcome": record.outcome,
        "duration_ms": record.duration_ms,
        "argument_shape": dict(record.argument_shape),
    }


def call_from(row: CallRow) -> CallRecord:
    """Read an audit record off its row."""
    return CallRecord(
        id=row.id,
        at=row.at,
        subject=EntryId(row.subject),
        server=None if row.server is None else ServerName(row.server),
        face=row.face,
        principal=row.principal,
        outcome=row.outcome,
        duration_ms=row.duration_ms,
        argument_shape=row.argument_shape,
    )
