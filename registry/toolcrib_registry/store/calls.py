"""The audit of calls: who called what by which face, and what came of it. Never what was passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, insert, select

from toolcrib_registry.tables import CallRow
from toolcrib_registry.types import CallRecord, EntryId, EntryKind, ServerName, entry_id


def record(session: Session, records: Sequence[CallRecord]) -> None:
    """Add audit records."""
    if records:
        session.exec(insert(CallRow), params=[call_columns(one) for one in records])


def list_latest(
    session: Session, *, kind: EntryKind | None, since: datetime | None, limit: int
) -> tuple[CallRecord, ...]:
    """List the latest records, newest first."""
    query = select(CallRow).order_by(col(CallRow.at).desc(), col(CallRow.id).desc()).limit(limit)
    if kind is not None:
        query = query.where(col(CallRow.subject).startswith(entry_id(kind, "")))
    if since is not None:
        query = query.where(CallRow.at >= since)
    return tuple(call_from(row) for row in session.exec(query))


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
