"""How routing stands with a tenant: what is known, what is in use, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from toolcrib_registry.store.routing import RatingCount

from .learner import RoutingLearner

if TYPE_CHECKING:
    from .policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRouting:
    """What stands with one tenant."""

    tenant: str
    outcomes: int
    latest: datetime | None
    state: str
    """``used``, ``unjudged``, ``refused``, ``waiting``, ``learning``, ``failed`` or ``off``."""
    reason: str
    queries: int = 0
    models: tuple[str, ...] = ()
    best_single: str | None = None
    domains: tuple[str, ...] = ()
    drifts: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    """Principals that are not heard, each with the reason."""
    learned_at: datetime | None = None
    took_s: float | None = None


def standing_of(tenant: str, count: RatingCount, learner: RoutingLearner) -> TenantRouting:
    """Tell how it stands with a tenant that has outcomes."""
    policy = learner.ready.get(tenant)
    state, reason = _state(tenant, policy, learner)
    base = TenantRouting(
        tenant=tenant, outcomes=count.outcomes, latest=count.latest, state=state, reason=reason
    )
    return base if policy is None else _with_policy(base, policy)


def _state(tenant: str, policy: Policy | None, learner: RoutingLearner) -> tuple[str, str]:
    if not learner.mode.uses:
        return "off", f"TOOLCRIB_ROUTING={learner.mode} uses nothing"
    if tenant == learner.learning:
        return "learning", "it is being learned from right now"
    if tenant in learner.failed:
        return "failed", learner.failed[tenant]
    if policy is None:
        return "waiting", "not learned from yet"
    if policy.judgement is None:
        return "unjudged", "no score is known"
    return policy.judgement.standing.value, policy.judgement.reason


def _with_policy(base: TenantRouting, policy: Policy) -> TenantRouting:
    return replace(
        base,
        queries=policy.queries,
        models=tuple(sorted(policy.measured)),
        best_single=policy.judgement.best_single if policy.judgement else None,
        domains=policy.guard.domains if policy.guard else (),
        drifts=tuple(drift.reason for drift in policy.drifts),
        set_aside=tuple(f"{who}: {why}" for who, why in policy.heard.set_aside.items()),
        learned_at=policy.learned_at,
        took_s=round(policy.took_s, 3),
    )
