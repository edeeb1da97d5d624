"""What routing learns from: how models did on queries, and examples of an operator's domains.

A face of its own beside the store's, over the same database. Knows no model, only names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, delete, func, insert, select

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.tables import DomainRow, ModelOutcomeRow
from toolcrib_registry.types import Domain, ModelOutcome, RatingSource

from .database import Database
from .names import near

_NEAR = 5


@dataclass(frozen=True, slots=True)
class RatingCount:
    """How many outcomes a tenant has, and when the latest was: a sign that there is more."""

    outcomes: int
    latest: datetime | None


class RoutingRecords:
    """Outcomes of models and examples of domains. Every method is one unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, outcomes: Sequence[ModelOutcome], *, keep: int = 200_000) -> None:
        """Add outcomes, in place of those of the same ids; each tenant keeps its latest ``keep``.

        Raises:
            InvalidInput: a score is not from 0 to 1, or a cost or latency is below zero.
        """
        for outcome in outcomes:
            _check(outcome)
        rows = {outcome.id: _columns(outcome) for outcome in outcomes}
        if not rows:
            return
        with self._database.writing() as session:
            _drop(session, sorted(rows))
            session.exec(insert(ModelOutcomeRow), params=list(rows.values()))
            for tenant in sorted({outcome.tenant for outcome in outcomes}):
                _drop_oldest(session, tenant, keep=keep)

    def list_outcomes(self, tenant: str) -> tuple[ModelOutcome, ...]:
        """List all of a tenant's outcomes, the oldest first."""
        query = select(ModelOutcomeRow).where(ModelOutcomeRow.tenant == tenant)
        ordered = query.order_by(col(ModelOutcomeRow.at), col(ModelOutcomeRow.id))
        with self._database.reading() as session:
            return tuple(_outcome(row) for row in session.exec(ordered))

    def find_outcomes(self, ids: Sequence[str]) -> dict[str, ModelOutcome]:
        """Find outcomes by their ids; absent ones are left out."""
        found: dict[str, ModelOutcome] = {}
        with self._database.reading() as session:
            for start in range(0, len(ids), 5_000):
                chunk = ids[start : start + 5_000]
                query = select(ModelOutcomeRow).where(col(ModelOutcomeRow.id).in_(chunk))
                found.update((row.id, _outcome(row)) for row in session.exec(query))
        return found

    def count(self) -> dict[str, RatingCount]:
        """Count each tenant's outcomes."""
        query = select(ModelOutcomeRow.tenant, func.count(), func.max(ModelOutcomeRow.at))
        with self._database.reading() as session:
            rows = session.exec(query.group_by(ModelOutcomeRow.tenant))
            return {tenant: RatingCount(number, at) for tenant, number, at in rows}

    def forget(
        self,
        *,
        tenant: str | None = None,
        model: str | None = None,
        principal: str | None = None,
        before: datetime | None = None,
    ) -> int:
        """Drop the outcomes that fit all that is given; say how many went.

        Raises:
            InvalidInput: nothing is given; say which ones.
        """
        chosen = list(_conditions(tenant, model, principal, before))
        if not chosen:
            raise InvalidInput("Say what to forget: a tenant, a model, a principal, or a time.")
        with self._database.writing() as session:
            return session.exec(delete(ModelOutcomeRow).where(*chosen)).rowcount

    # --- domains ---------------------------------------------------------------------------

    def put_domain(self, domain: Domain) -> None:
        """Store a domain's examples, in place of those it had."""
        rows = [
            {"name": domain.name, "position": position, "example": example}
            for position, example in enumerate(dict.fromkeys(domain.examples))
        ]
        with self._database.writing() as session:
            session.exec(delete(DomainRow).where(col(DomainRow.name) == domain.name))
            if rows:
                session.exec(insert(DomainRow), params=rows)

    def list_domains(self) -> tuple[Domain, ...]:
        """List every domain with its examples, by name."""
        query = select(DomainRow).order_by(col(DomainRow.name), col(DomainRow.position))
        with self._database.reading() as session:
            grouped = groupby(session.exec(query), key=lambda row: row.name)
            return tuple(Domain(name, tuple(row.example for row in rows)) for name, rows in grouped)

    def remove_domain(self, name: str) -> None:
        """Forget a domain.

        Raises:
            NotFound: no such domain; near names are offered.
        """
        with self._database.writing() as session:
            gone = session.exec(delete(DomainRow).where(col(DomainRow.name) == name)).rowcount
            if not gone:
                names = session.exec(select(DomainRow.name).distinct()).all()
                raise NotFound("domain", name, near=near(name, names, limit=_NEAR))


def _conditions(
    tenant: str | None, model: str | None, principal: str | None, before: datetime | None
) -> Iterator[ColumnElement[bool]]:
    if tenant is not None:
        yield col(ModelOutcomeRow.tenant) == tenant
    if model is not None:
        yield col(ModelOutcomeRow.model) == model
    if principal is not None:
        yield col(ModelOutcomeRow.principal) == principal
    if before is not None:
        yield col(ModelOutcomeRow.at) < before


def _check(outcome: ModelOutcome) -> None:
    if outcome.score is not None and not 0 <= outcome.score <= 1:
        raise InvalidInput(f"The score of {outcome.model} is {outcome.score}; give 0 to 1.")
    for name, value in (("cost", outcome.cost_usd), ("latency", outcome.latency_ms)):
        if value is not None and not 0 <= value < float("inf"):
            raise InvalidInput(f"The {name} of {outcome.model} is {value}; give 0 or more.")
    if not outcome.query.strip() or not outcome.model.strip():
        raise InvalidInput("An outcome needs the text of its query and the name of its model.")


def _drop(session: Session, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), 5_000):
        chunk = ids[start : start + 5_000]
        session.exec(delete(ModelOutcomeRow).where(col(ModelOutcomeRow.id).in_(chunk)))


def _drop_oldest(session: Session, tenant: str, *, keep: int) -> None:
    latest = (
        select(ModelOutcomeRow.id)
        .where(ModelOutcomeRow.tenant == tenant)
        .order_by(col(ModelOutcomeRow.at).desc(), col(ModelOutcomeRow.id).desc())
        .limit(keep)
    )
    ours = col(ModelOutcomeRow.tenant) == tenant
    total = session.exec(select(func.count()).select_from(ModelOutcomeRow).where(ours)).one()
    if total > keep:
        session.exec(delete(ModelOutcomeRow).where(ours, col(ModelOutcomeRow.id).not_in(latest)))


def _columns(outcome: ModelOutcome) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "at": outcome.at,
        "tenant": outcome.tenant,
        "principal": outcome.principal,
        "model": outcome.model,
        "score": outcome.score,
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "source": outcome.source.value,
        "query": outcome.query,
    }


def _outcome(row: ModelOutcomeRow) -> ModelOutcome:
    return ModelOutcome(
        id=row.id,
        at=row.at,
        tenant=row.tenant,
        principal=row.principal,
        query=row.query,
        model=row.model,
        score=row.score,
        cost_usd=row.cost_usd,
        latency_ms=row.latency_ms,
        source=RatingSource(row.source),
    )
