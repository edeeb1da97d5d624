"""Outcomes and what was learned from them: recorded, listed by time, bounded, forgotten.

Knows no ranking: what an outcome is worth is decided where it is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import ColumnElement
from sqlmodel import Session, and_, col, delete, func, insert, not_, or_, select

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.tables import LearnedRow, OutcomeRow
from toolcrib_registry.types import (
    EntryId,
    Forgotten,
    JsonObject,
    Learned,
    Outcome,
    OutcomeSource,
    Page,
    Verdict,
    hash_query,
)

from . import embeddings
from .entries import chunks


def record(session: Session, records: Sequence[Outcome], *, keep: int) -> None:
    """Add outcomes, and drop the oldest beyond ``keep`` of each tenant they name."""
    if not records:
        return
    session.exec(insert(OutcomeRow), params=[outcome_columns(one) for one in records])
    for tenant in sorted({one.tenant for one in records}):
        _drop_oldest(session, tenant, keep=keep)


def _drop_oldest(session: Session, tenant: str, *, keep: int) -> None:
    last = session.exec(
        select(OutcomeRow.at, OutcomeRow.id)
        .where(OutcomeRow.tenant == tenant)
        .order_by(col(OutcomeRow.at).desc(), col(OutcomeRow.id).desc())
        .offset(keep)
        .limit(1)
    ).first()
    if last is not None:
        too_old = not_(_after(*last))
        session.exec(delete(OutcomeRow).where(col(OutcomeRow.tenant) == tenant, too_old))


def list_page(
    session: Session,
    *,
    tenant: str | None,
    since: datetime | None,
    cursor: str | None,
    limit: int,
) -> Page[Outcome]:
    """List one page, by time and id."""
    query = select(OutcomeRow).order_by(col(OutcomeRow.at), col(OutcomeRow.id)).limit(limit + 1)
    if tenant is not None:
        query = query.where(OutcomeRow.tenant == tenant)
    if since is not None:
        query = query.where(col(OutcomeRow.at) >= since)
    if cursor is not None:
        query = query.where(_after(*_read_cursor(cursor)))
    found = [outcome_from(row) for row in session.exec(query)]
    more = len(found) > limit
    return Page(tuple(found[:limit]), _cursor(found[limit - 1]) if more else None)


def count(session: Session) -> dict[str, int]:
    """Count the outcomes of each tenant."""
    query = select(OutcomeRow.tenant, func.count()).group_by(OutcomeRow.tenant)
    return dict(session.exec(query.order_by(OutcomeRow.tenant)).all())


def latest(session: Session, tenant: str) -> datetime | None:
    """Tell when a tenant's latest outcome was."""
    query = select(OutcomeRow.at).where(OutcomeRow.tenant == tenant)
    return session.exec(query.order_by(col(OutcomeRow.at).desc()).limit(1)).first()


def forget(
    session: Session, *, tenant: str | None, principal: str | None, before: datetime | None
) -> Forgotten:
    """Drop the outcomes that fit all that is given, with vectors and what was learned from them."""
    chosen: list[ColumnElement[bool]] = []
    if tenant is not None:
        chosen.append(col(OutcomeRow.tenant) == tenant)
    if principal is not None:
        chosen.append(col(OutcomeRow.principal) == principal)
    if before is not None:
        chosen.append(col(OutcomeRow.at) < before)
    if not chosen:
        raise InvalidInput("Say what to forget: a tenant, a principal, or a time.")
    tenants = frozenset(session.exec(select(OutcomeRow.tenant).where(*chosen).distinct()))
    queries = session.exec(select(OutcomeRow.query).where(*chosen).distinct()).all()
    gone = session.exec(delete(OutcomeRow).where(*chosen)).rowcount
    for one in sorted(tenants):
        session.exec(delete(LearnedRow).where(col(LearnedRow.tenant) == one))
    forget_vectors(session, queries)
    return Forgotten(gone, tenants)


def forget_vectors(session: Session, queries: Sequence[str]) -> None:
    """Drop the vectors of those queries that no outcome has."""
    # A document may have the same text; it is then encoded again when it is next needed.
    left = set(queries)
    for chunk in chunks(queries):
        asked = select(OutcomeRow.query).where(col(OutcomeRow.query).in_(chunk)).distinct()
        left.difference_update(session.exec(asked))
    embeddings.forget(session, sorted(hash_query(query) for query in left))


def find_learned(session: Session, tenant: str, encoder_id: str) -> Learned | None:
    """Find what was learned."""
    row = session.get(LearnedRow, (tenant, encoder_id))
    return None if row is None else learned_from(row)


def put_learned(session: Session, learned: Learned) -> None:
    """Store what was learned, in place of what was there."""
    session.merge(LearnedRow(**learned_columns(learned)))


def _after(at: datetime, id_: str) -> ColumnElement[bool]:
    later = and_(col(OutcomeRow.at) == at, col(OutcomeRow.id) > id_)
    return or_(col(OutcomeRow.at) > at, later)


def _cursor(last: Outcome) -> str:
    return json.dumps([last.at.isoformat(), last.id])


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        at, id_ = cast("list[str]", json.loads(cursor))
        return datetime.fromisoformat(at).astimezone(UTC), str(id_)
    except (ValueError, TypeError) as error:
        raise InvalidInput("The cursor is not one that a listing of outcomes gave.") from error


# --- rows --------------------------------------------------------------------------------------


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """Give the columns of an outcome."""
    return {
        "id": outcome.id,
        "at": outcome.at,
        "tenant": outcome.tenant,
        "principal": outcome.principal,
        "entry": outcome.entry,
        "verdict": outcome.verdict.value,
        "source": outcome.source.value,
        "weight": outcome.weight,
        "query": outcome.query,
    }


def outcome_from(row: OutcomeRow) -> Outcome:
    """Read an outcome off its row."""
    return Outcome(
        id=row.id,
        at=row.at,
        tenant=row.tenant,
        principal=row.principal,
        query=row.query,
        entry=EntryId(row.entry),
        verdict=Verdict(row.verdict),
        source=OutcomeSource(row.source),
        weight=row.weight,
    )


def learned_columns(learned: Learned) -> dict[str, Any]:
    """Give the columns of what was learned."""
    return {
        "tenant": learned.tenant,
        "encoder_id": learned.encoder_id,
        "at": learned.at,
        "report": dict(learned.report),
        "adapter": learned.adapter,
    }


def learned_from(row: LearnedRow) -> Learned:
    """Read what was learned off its row."""
    return Learned(
        tenant=row.tenant,
        encoder_id=row.encoder_id,
        at=row.at,
        report=_report(row.report),
        adapter=row.adapter,
    )


def _report(found: object) -> JsonObject:
    # A broken one says nothing, so that what was learned is learned again.
    return cast("JsonObject", found) if isinstance(found, dict) else {}
