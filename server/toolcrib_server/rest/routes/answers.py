"""Answers that are given again: how many there are, and forgetting them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from toolcrib_registry import wire
from toolcrib_registry.errors import NotPermitted
from toolcrib_server.answers.lookup import AnswerTotals
from toolcrib_server.guard import Role
from toolcrib_server.rest.deps import Admin, Parts, User

router = APIRouter(tags=["answers"])


@router.get("/answers", summary="How the answer cache stands")
async def answer_cache(parts: Parts, _: Admin) -> wire.AnswerCacheOut:
    """What this process keeps in memory, and what came of looking since it started."""
    totals = parts.answers.totals if parts.answers else AnswerTotals()
    return wire.AnswerCacheOut(
        mode=totals.mode.value,
        answers=totals.answers,
        bytes=totals.bytes,
        outcomes={outcome.value: number for outcome, number in totals.outcomes.items()},
        refusals=dict(totals.refusals),
        saved_usd=totals.saved_usd,
        examples=totals.examples,
    )


@router.delete("/answers", summary="Forget kept answers")
async def forget_answers(
    parts: Parts,
    user: User,
    *,
    principal: wire.Name | None = None,
    everything: Annotated[bool, Query(description="All keys' answers; administrators.")] = False,
) -> wire.ForgottenOut:
    """Your own, unless you are an administrator and say whose. Where all share, all are gone."""
    whose = None if everything else (principal or user.name)
    if user.role is not Role.ADMIN and whose != user.name:
        raise NotPermitted("You may forget your own answers; others need an administrator's key.")
    gone = parts.answers.forget(whose) if parts.answers else 0
    return wire.ForgottenOut(forgotten=gone)
