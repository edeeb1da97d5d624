"""Outcomes of models, and the domains a service is for: what selection learns from."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from toolcrib_registry import wire
from toolcrib_registry.errors import NotPermitted
from toolcrib_registry.types import RatingSource
from toolcrib_server.answers.teaching import Rating
from toolcrib_server.guard import Principal, Role
from toolcrib_server.rest.deps import Admin, Parts, User
from toolcrib_server.rest.mapping.routing import (
    domain_out,
    model_outcome_out,
    recorded_out,
    rows_from,
    tenant_routing_out,
)

router = APIRouter(tags=["routing"])


@router.post("/outcomes", status_code=201, summary="Say how models did on queries")
async def add_outcomes(parts: Parts, user: User, given: wire.OutcomesIn) -> wire.RecordedOut:
    """The query, the model and the figures are kept, never an answer.

    The same outcomes again change nothing, and a corrected one takes its place. Selections use
    them once that passed its check.
    """
    _may_say(user, given)
    rows = rows_from(given)
    recorded = await parts.routing.record(
        rows,
        principal=user.name,
        tenant=given.tenant,
        source=given.source,
        limited=user.role is not Role.ADMIN,
    )
    if parts.answers is not None and given.tenant is None:
        ratings = [
            Rating(query=r.query, model=r.model, score=r.score) for r in rows if r.score is not None
        ]
        parts.answers.teaching.rate(parts.answers.tenant_of(user.name), ratings)
    return recorded_out(recorded)


@router.get("/outcomes", summary="List the latest outcomes of models")
async def list_outcomes(
    parts: Parts,
    _: Admin,
    tenant: wire.Name | None = None,
    model: wire.Name | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> wire.ModelOutcomesOut:
    """The latest first."""
    found = await parts.routing.list_outcomes(tenant=tenant, model=model, limit=limit)
    return wire.ModelOutcomesOut(items=[model_outcome_out(one) for one in found])


@router.delete("/outcomes", summary="Forget outcomes of models, and what was learned from them")
async def forget_outcomes(
    parts: Parts,
    user: User,
    principal: wire.Name | None = None,
    tenant: wire.Name | None = None,
    model: wire.Name | None = None,
    before: Annotated[AwareDatetime | None, Query()] = None,
) -> wire.ForgottenOut:
    """Those that fit all that is given; your own, unless you are an administrator and say whose."""
    if principal is None and not (user.role is Role.ADMIN and (tenant or model or before)):
        principal = user.name
    if user.role is not Role.ADMIN and principal != user.name:
        raise NotPermitted("You may forget your own outcomes; others need an administrator's key.")
    until = None if before is None else before.astimezone(UTC)
    gone = await parts.routing.forget(principal=principal, tenant=tenant, model=model, before=until)
    return wire.ForgottenOut(forgotten=gone)


@router.get("/routing", summary="How learning from outcomes of models stands")
async def routing_state(parts: Parts, _: Admin) -> wire.RoutingStateOut:
    """For each tenant that has outcomes: whether they decide, and why."""
    states = await parts.routing.states()
    return wire.RoutingStateOut(
        mode=parts.routing.learner.mode.value,
        tenants=[tenant_routing_out(state) for state in states],
    )


@router.get("/domains", summary="List the domains")
async def list_domains(parts: Parts, _: User) -> wire.DomainsOut:
    """With their examples, by name."""
    found = await parts.routing.list_domains()
    return wire.DomainsOut(items=[domain_out(one) for one in found])


@router.put("/domains/{name}", summary="Describe a domain by examples")
async def put_domain(
    parts: Parts, _: Admin, name: wire.Name, given: wire.DomainIn
) -> wire.DomainOut:
    """In place of those it had. ``*`` takes queries of your domains that set the threshold."""
    return domain_out(await parts.routing.put_domain(name, given.examples))


@router.delete("/domains/{name}", status_code=204, summary="Forget a domain")
async def remove_domain(parts: Parts, _: Admin, name: wire.Name) -> None:
    """Its examples are dropped."""
    await parts.routing.remove_domain(name)


def _may_say(user: Principal, given: wire.OutcomesIn) -> None:
    if user.role is Role.ADMIN:
        return
    if given.tenant is not None or given.source is not RatingSource.FEEDBACK:
        raise NotPermitted(
            "Your outcomes are feedback, and your own: a tenant or another source needs an "
            "administrator's key."
        )
