"""Where routing meets the faces: outcomes come in and are forgotten, domains are described.

Joins store and learner; knows no face and no wire format.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

import anyio.to_thread

from toolcrib_registry.errors import InvalidInput, NotPermitted
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Domain,
    EntryKind,
    Model,
    ModelOutcome,
    RatingSource,
)

from .domains import make_domain
from .learner import RoutingLearner
from .rows import OutcomeRow, Refusal
from .standing import TenantRouting, standing_of

DAILY_LIMIT: Final = 2_000
"""Outcomes of one principal in a day, unless it administers."""
MAX_OUTCOMES: Final = 1_000_000
_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of outcomes that were handed in."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refusals: tuple[Refusal, ...] = ()
    registered: tuple[str, ...] = ()
    """Models that were named and not registered before."""

    @property
    def taken(self) -> int:
        """How many are kept now."""
        return self.added + self.updated + self.unchanged


class RoutingDesk:
    """What the faces ask of routing."""

    def __init__(self, store: Store, learner: RoutingLearner, *, keep: int) -> None:
        self._store = store
        self.learner = learner
        self._keep = keep
        self._said: Counter[str] = Counter()
        self._today: date | None = None

    async def record(
        self,
        rows: Sequence[OutcomeRow],
        *,
        principal: str,
        tenant: str | None = None,
        source: RatingSource = RatingSource.FEEDBACK,
        limited: bool = True,
    ) -> Recorded:
        """Record outcomes; the same ones again change nothing. Those of unknown models are refused.

        ``limited``: a principal may say so much a day. Without ``tenant`` it is the principal's.

        Raises:
            NotPermitted: Routing is off, or the principal said too much today.
        """
        if not self.learner.mode.takes:
            raise NotPermitted(
                "Routing is off here, so outcomes are not kept. TOOLCRIB_ROUTING=on (or record) "
                "turns it on."
            )
        if limited:
            self._count(principal, len(rows))
        whose = tenant or self.learner.sharing.tenant_of(principal)
        work = partial(self._record, rows, principal=principal, tenant=whose, source=source)
        return await anyio.to_thread.run_sync(work)

    async def list_outcomes(
        self, *, tenant: str | None = None, model: str | None = None, limit: int = 100
    ) -> tuple[ModelOutcome, ...]:
        """List the latest outcomes, the latest first."""
        return await anyio.to_thread.run_sync(partial(self._list, tenant, model, limit))

    async def forget(
        self,
        *,
        tenant: str | None = None,
        model: str | None = None,
        principal: str | None = None,
        before: datetime | None = None,
    ) -> int:
        """Forget the outcomes that fit all that is given, and what was learned from them.

        Raises:
            InvalidInput: Nothing is given.
        """
        forget = partial(
            self._forget, tenant=tenant, model=model, principal=principal, before=before
        )
        return await anyio.to_thread.run_sync(partial(self.learner.forget, forget))

    async def states(self) -> tuple[TenantRouting, ...]:
        """Tell how it stands with every tenant that has outcomes."""
        counts = await anyio.to_thread.run_sync(self._store.routing.count)
        return tuple(standing_of(tenant, count, self.learner) for tenant, count in counts.items())

    # --- domains -------------------------------------------------------------------------------

    async def put_domain(self, name: str, examples: Sequence[str]) -> Domain:
        """Describe a domain by examples, in place of those it had.

        Raises:
            InvalidInput: The name is none, or there is no example.
        """
        domain = make_domain(name, examples)
        await anyio.to_thread.run_sync(self._store.routing.put_domain, domain)
        return domain

    async def list_domains(self) -> tuple[Domain, ...]:
        """List every domain with its examples."""
        return await anyio.to_thread.run_sync(self._store.routing.list_domains)

    async def remove_domain(self, name: str) -> None:
        """Forget a domain.

        Raises:
            NotFound: There is no such domain; near names are offered.
        """
        await anyio.to_thread.run_sync(self._store.routing.remove_domain, name)

    # --- in a worker thread --------------------------------------------------------------------

    def _record(
        self, rows: Sequence[OutcomeRow], *, principal: str, tenant: str, source: RatingSource
    ) -> Recorded:
        known, unknown = self._sorted_out(rows)
        made = _outcomes(
            known, principal=principal, tenant=tenant, source=source, at=self.learner.now()
        )
        stored = self._store.routing.find_outcomes(list(made))
        fresh = [one for one in made.values() if not _is_same(one, stored.get(one.id))]
        self._store.routing.record(fresh, keep=self._keep)
        updated = sum(one.id in stored for one in fresh)
        return Recorded(
            added=len(fresh) - updated,
            updated=updated,
            unchanged=len(made) - len(fresh),
            refusals=unknown,
        )

    def _sorted_out(
        self, rows: Sequence[OutcomeRow]
    ) -> tuple[list[OutcomeRow], tuple[Refusal, ...]]:
        named = dict.fromkeys(row.model for row in rows)
        known = {name for name in named if self._store.find_entry(EntryKind.MODEL, name)}
        refusals = [
            Refusal(row.where, self._unknown(row.model)) for row in rows if row.model not in known
        ]
        return [row for row in rows if row.model in known], tuple(refusals)

    def _unknown(self, model: str) -> str:
        near = self._store.near_names(EntryKind.MODEL, model)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"no model is registered as {model[:80]!r}{hint}"

    def _list(self, tenant: str | None, model: str | None, limit: int) -> tuple[ModelOutcome, ...]:
        if not 1 <= limit <= MAX_OUTCOMES:
            raise InvalidInput(f"limit is {limit}; give 1 to {MAX_OUTCOMES}.")
        tenants = [tenant] if tenant else list(self._store.routing.count())
        read = [one for name in tenants for one in self._store.routing.list_outcomes(name)]
        fitting = [one for one in read if model is None or one.model == model]
        return tuple(sorted(fitting, key=lambda one: one.at, reverse=True)[:limit])

    def _forget(
        self,
        *,
        tenant: str | None,
        model: str | None,
        principal: str | None,
        before: datetime | None,
    ) -> int:
        queries = self._queries()
        gone = self._store.routing.forget(
            tenant=tenant, model=model, principal=principal, before=before
        )
        # The vector of a query tells of it: it goes with the last outcome that has it.
        self._store.forget_vectors(sorted(queries - self._queries()))
        return gone

    def _queries(self) -> set[str]:
        tenants = self._store.routing.count()
        return {one.query for name in tenants for one in self._store.routing.list_outcomes(name)}

    def _count(self, principal: str, number: int) -> None:
        today = self.learner.now().date()
        if today != self._today:
            self._today = today
            self._said.clear()
        if self._said[principal] + number > DAILY_LIMIT:
            raise NotPermitted(
                f"{self._said[principal]} outcomes were recorded of you today; {DAILY_LIMIT} a day "
                "are taken. An administrator may import more."
            )
        self._said[principal] += number


def unknown_models(store: Store, rows: Iterable[OutcomeRow]) -> tuple[str, ...]:
    """Name the models of outcomes that are not registered."""
    named = dict.fromkeys(row.model for row in rows)
    return tuple(name for name in named if not store.find_entry(EntryKind.MODEL, name))


def nearest_registered(store: Store, name: str) -> str | None:
    """Name a registered model that is spelt much like another name; None where none is."""
    near = store.near_names(EntryKind.MODEL, name, limit=1)
    close = difflib.get_close_matches(name, near, n=1, cutoff=0.9)
    return close[0] if close else None


def bare_models(names: Collection[str]) -> tuple[Model, ...]:
    """Make models of which only the name is known."""
    return tuple(Model(name=name, source_id=name) for name in names)


def _outcomes(
    rows: Iterable[OutcomeRow],
    *,
    principal: str,
    tenant: str,
    source: RatingSource,
    at: datetime,
) -> dict[str, ModelOutcome]:
    """Give each outcome an id by what it is about, so that the same one again takes its place.

    A second trial of the same query and model, in the same batch, is another outcome.
    """
    trials: Counter[tuple[str, str]] = Counter()
    made: dict[str, ModelOutcome] = {}
    for row in rows:
        trial = trials[row.query, row.model]
        trials[row.query, row.model] += 1
        about = (tenant, principal, source.value, row.query, row.model, str(trial))
        id_ = hashlib.sha256("\0".join(about).encode("utf-8", "surrogatepass")).hexdigest()
        made[id_[: 2 * _ID_BYTES]] = ModelOutcome(
            id=id_[: 2 * _ID_BYTES],
            at=at,
            tenant=tenant,
            principal=principal,
            query=row.query,
            model=row.model,
            score=row.score,
            cost_usd=row.cost_usd,
            latency_ms=row.latency_ms,
            source=source,
        )
    return made


def _is_same(one: ModelOutcome, stored: ModelOutcome | None) -> bool:
    return stored is not None and replace(one, at=stored.at) == stored
