"""How learning stands with a tenant: what is stored of a replay, what it says, what it waits for.

Knows no store and no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from toolcrib_registry.types import JsonObject, Learned

from .confirming import Confirmed
from .gate import FEWEST_CASES, Choice
from .mode import LearningMode
from .replay import ARMS, Arm, Report

if TYPE_CHECKING:
    from toolcrib_embeddings.abstention.confirmation import Confirmation

_FEWEST_NEW: Final = 50
"""Outcomes before a tenant is learned from again, or a fifth of what it was learned from."""
_NEW_SHARE: Final = 0.2
_EVERY_H: Final = 24
_OWN_SCALE: Final = "the registry's own scale"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that is not there yet."""

    what: str
    have: int
    needed: int

    def __str__(self) -> str:
        return f"{self.have} of {self.needed} needed: {self.what}"


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
    confirmed: int = 0
    """Questions that are known to have had an answer, when it was last replayed."""
    abstains_by: str = _OWN_SCALE
    """What the error rate of abstaining rests on."""
    waits: tuple[Wait, ...] = ()
    """What is too little yet, and how much it is."""


def arm_in_use(learned: Learned | None) -> Arm | None:
    """Read which arm is in use; one that this release does not know is none."""
    name = learned.report.get("inUse") if learned else None
    return next((arm for arm in ARMS if arm.name == name), None)


def confirmation_of(learned: Learned | None) -> Confirmation | None:
    """Read what confirmed questions say of abstaining; None while they are too few."""
    from toolcrib_embeddings.abstention.confirmation import Confirmation  # noqa: PLC0415  # slow to import

    said = learned.report.get("confirmed") if learned else None
    try:
        return Confirmation.load(said["bar"]) if said else None
    except (KeyError, TypeError, ValueError):
        return None


def is_due(learned: Learned | None, count: int, *, now: datetime) -> bool:
    """Whether enough is new for a tenant of ``count`` outcomes to be replayed."""
    if learned is None:
        return count >= _FEWEST_NEW
    if count >= _FEWEST_NEW and now - learned.at >= timedelta(hours=_EVERY_H):
        return True  # a full store's count stays, though its outcomes are others
    return _new_since(learned, count) >= _needed_since(learned)


def render_report(
    report: Report, choice: Choice, outcomes: int, confirmed: Confirmed
) -> dict[str, Any]:
    """Render a replay and what was chosen by it, as they are stored."""
    bar = confirmed.confirmation
    return {
        "inUse": choice.arm.name if choice.arm else None,
        "reason": choice.reason,
        "outcomes": outcomes,
        "learnedFrom": report.learned_from,
        "cases": report.cases,
        "before": report.before,
        "gains": [asdict(gain) for gain in report.gains],
        "confirmed": {
            "questions": confirmed.questions,
            "independent": confirmed.independent,
            "bar": bar.dump() if bar else None,
        },
    }


def state_of(tenant: str, count: int, learned: Learned | None, mode: LearningMode) -> TenantState:
    """Tell how it stands with a tenant that has outcomes."""
    arm, confirmation = arm_in_use(learned), confirmation_of(learned)
    reason = learned.report.get("reason", "") if learned else "not replayed yet"
    if not mode.uses:
        arm, confirmation = None, None
        reason = f"TOOLCRIB_LEARNING={mode} uses nothing"
    return TenantState(
        tenant=tenant,
        outcomes=count,
        in_use=arm.name if arm else None,
        reason=reason,
        judged_at=learned.at if learned else None,
        report=learned.report if learned else None,
        confirmed=_confirmed(learned).get("questions", 0),
        abstains_by=(
            f"confirmed questions, {confirmation.questions}" if confirmation else _OWN_SCALE
        ),
        waits=tuple(_waits(learned, count)) if mode.uses else (),
    )


def _waits(learned: Learned | None, count: int) -> Iterator[Wait]:
    from toolcrib_embeddings.abstention.confirmation import LEAST_CONFIRMED  # noqa: PLC0415  # slow to import

    if learned is None:
        yield Wait("outcomes for a first replay", count, _FEWEST_NEW)
        return
    new, needed = _new_since(learned, count), _needed_since(learned)
    yield Wait("new outcomes for the next replay", min(new, needed), needed)
    cases: int = learned.report.get("cases", 0)
    if cases < FEWEST_CASES:
        yield Wait("queries held back to judge by", cases, FEWEST_CASES)
    independent: int = _confirmed(learned).get("independent", 0)
    if independent < LEAST_CONFIRMED:
        what = "confirmed questions, whichever one principal is left out, to abstain by"
        yield Wait(what, independent, LEAST_CONFIRMED)


def _new_since(learned: Learned, count: int) -> int:
    # Fewer than then: the oldest made room, or some were forgotten.
    return abs(count - int(learned.report.get("outcomes", 0)))


def _needed_since(learned: Learned) -> int:
    return max(_FEWEST_NEW, round(_NEW_SHARE * learned.report.get("outcomes", 0)))


def _confirmed(learned: Learned | None) -> JsonObject:
    return (learned.report.get("confirmed") if learned else None) or {}
