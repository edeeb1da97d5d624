"""How learning stands with a tenant: what is stored of a replay, and what it says.

Knows no store and no clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from toolcrib_registry.types import JsonObject, Learned

from .gate import Choice
from .mode import LearningMode
from .replay import ARMS, Arm, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """What stands with one tenant."""

    tenant: str
    outcomes: int
    in_use: str | None
    """The arm that searches use; None for nothing."""
    reason: str
    judged_at: datetime | None
    report: JsonObject | None
    """The last replay, as it was stored."""


def arm_in_use(learned: Learned | None) -> Arm | None:
    """Read which arm is in use; one that this release does not know is none."""
    name = learned.report.get("inUse") if learned else None
    return next((arm for arm in ARMS if arm.name == name), None)


def render_report(report: Report, choice: Choice, outcomes: int) -> dict[str, Any]:
    """Render a replay and what was chosen by it, as they are stored."""
    return {
        "inUse": choice.arm.name if choice.arm else None,
        "reason": choice.reason,
        "outcomes": outcomes,
        "learnedFrom": report.learned_from,
        "cases": report.cases,
        "before": report.before,
        "gains": [asdict(gain) for gain in report.gains],
    }


def state_of(tenant: str, count: int, learned: Learned | None, mode: LearningMode) -> TenantState:
    """Tell how it stands with a tenant that has outcomes."""
    arm = arm_in_use(learned)
    reason = learned.report.get("reason", "") if learned else "not replayed yet"
    if not mode.uses:
        arm, reason = None, f"TOOLCRIB_LEARNING={mode} uses nothing"
    return TenantState(
        tenant=tenant,
        outcomes=count,
        in_use=arm.name if arm else None,
        reason=reason,
        judged_at=learned.at if learned else None,
        report=learned.report if learned else None,
    )
