"""Learning from use: what somebody says of a search, how learning stands, and forgetting."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from toolcrib_registry import wire
from toolcrib_registry.errors import NotPermitted
from toolcrib_registry.types import Outcome, split_id
from toolcrib_server.guard import Principal, Role
from toolcrib_server.learning.standing import TenantState
from toolcrib_server.rest.deps import Admin, Parts, User

router = APIRouter(tags=["learning"])


@router.post("/feedback", status_code=201, summary="Say what came of a search")
async def give_feedback(parts: Parts, user: User, given: wire.FeedbackIn) -> wire.FeedbackOut:
    """The query and the verdict are kept, nothing else.

    Searches use them once a replay of past outcomes shows that they gain by it.
    """
    outcome = await parts.feedback.tell(user.name, given.query, given.name, given.verdict)
    return _outcome_out(outcome)


@router.delete("/feedback", summary="Forget outcomes, and what was learned from them")
async def forget(
    parts: Parts,
    user: User,
    principal: wire.Name | None = None,
    tenant: wire.Name | None = None,
    before: Annotated[AwareDatetime | None, Query()] = None,
) -> wire.ForgottenOut:
    """Those that fit all that is given; your own, unless you are an administrator and say whose."""
    if principal is None and tenant is None and not (before and user.role is Role.ADMIN):
        principal = user.name
    _may_forget(user, principal)
    gone = await parts.feedback.forget(principal=principal, tenant=tenant, before=_utc(before))
    return wire.ForgottenOut(forgotten=gone)


@router.get("/learning", summary="How learning stands")
async def learning_state(parts: Parts, _: Admin) -> wire.LearningOut:
    """For each tenant that has outcomes: what is in use, and why. Then what tools bring along."""
    states, needs = await parts.feedback.states(), await parts.needs.read()
    return wire.LearningOut(
        mode=parts.feedback.mode.value,
        tenants=[_state_out(state) for state in states],
        needs=[wire.LearnedNeedOut(**asdict(one)) for one in needs.learned],
        refused=[wire.RefusedNeedOut(**asdict(one)) for one in needs.refused],
    )


@router.post("/learning/refusals", summary="Let a tool no longer bring another one along")
async def refuse_need(parts: Parts, admin: Admin, given: wire.RefusedNeedIn) -> wire.NeedSettledOut:
    """Whatever was learned; what its owner declares stays. Other processes know in a minute."""
    settled = await parts.needs.refuse(given.tool, given.needed, actor=admin.actor)
    return wire.NeedSettledOut(**asdict(settled))


@router.delete("/learning/refusals", summary="Let a tool bring another one along again")
async def allow_need(
    parts: Parts, _: Admin, tool: wire.Name, needed: wire.Name
) -> wire.NeedSettledOut:
    """Takes a refusal back, also one of tools that are gone."""
    return wire.NeedSettledOut(**asdict(await parts.needs.allow(tool, needed)))


def _may_forget(user: Principal, principal: str | None) -> None:
    if user.role is not Role.ADMIN and principal != user.name:
        raise NotPermitted("You may forget your own outcomes; others need an administrator's key.")


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)


def _outcome_out(outcome: Outcome) -> wire.FeedbackOut:
    kind, name = split_id(outcome.entry)
    return wire.FeedbackOut(
        id=outcome.id,
        at=outcome.at,
        kind=kind,
        name=name,
        verdict=outcome.verdict,
        weight=outcome.weight,
    )


def _state_out(state: TenantState) -> wire.TenantLearningOut:
    return wire.TenantLearningOut(
        tenant=state.tenant,
        outcomes=state.outcomes,
        in_use=state.in_use,
        reason=state.reason,
        judged_at=state.judged_at,
        confirmed=state.confirmed,
        abstains_by=state.abstains_by,
        waits=[wire.LearningWait(**asdict(wait)) for wait in state.waits],
        report=None if state.report is None else dict(state.report),
    )
