"""The audit of calls: who called what by which face, and what came of it. Never what was passed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, insert, select

from toolcrib_registry.tables import CallRow
from toolcrib_registry.types import CallRecord

from .rows import call_from, call_row, columns


def record(session: Session, records: Sequence[CallRecord]) -> None:
    """Add audit records."""
    if records:
        session.exec(insert(CallRow), params=[columns(call_row(one)) for one in records])


def list_latest(session: Session, *, limit: int) -> tuple[CallRecord, ...]:
    """List the latest records, newest first."""
    query = select(CallRow).order_by(col(CallRow.at).desc(), col(CallRow.id).desc()).limit(limit)
    return tuple(call_from(row) for row in session.exec(query))
