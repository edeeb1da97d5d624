"""What of the learned is used: nothing, until a replay shows gain; and not dropped for noise.

Reports in, a choice out. Knows neither outcomes nor vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .replay import ARMS, Arm, Gain, Report

FEWEST_CASES: Final = 30
"""Held-back queries; fewer decide nothing."""
SWITCH_GAIN: Final = 0.005
"""How much better than what is in use another arm must be, to take its place."""
_TOLERATED: Final = -0.005
"""How far below zero the interval of what is in use may reach."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to use from now on, and why. Without an arm, nothing."""

    arm: Arm | None
    reason: str


def decide(report: Report, *, in_use: str | None) -> Choice:
    """Choose an arm after a replay.

    One is taken up only when the whole interval of its gain is above zero; the one in use stays
    until it may do harm, or another is clearly better. So a gain near zero does not flicker.
    """
    if report.cases < FEWEST_CASES:
        few = f"{report.cases} queries could be held back; {FEWEST_CASES} are needed to judge"
        return Choice(None, few)
    gains = {gain.arm: gain for gain in report.gains}
    best = max(report.gains, key=lambda gain: gain.low)
    current = gains.get(in_use or "")
    clearly_better = current is None or best.gain >= current.gain + SWITCH_GAIN
    if current is not None and _still_good(current) and not (best.low > 0 and clearly_better):
        return _use(current, "it still gains")
    if best.low <= 0:
        return Choice(None, f"no way of using it gains for certain; the best is {_said(best)}")
    return _use(best, "it gains for certain")


def _still_good(gain: Gain) -> bool:
    return gain.gain > 0 and gain.low > _TOLERATED


def _use(gain: Gain, why: str) -> Choice:
    arm = next(arm for arm in ARMS if arm.name == gain.arm)
    return Choice(arm, f"{why}: {_said(gain)}")


def _said(gain: Gain) -> str:
    points, low, high = (100 * value for value in (gain.gain, gain.low, gain.high))
    return f"{gain.arm}, {points:+.1f} points NDCG@10 ({low:+.1f} to {high:+.1f})"
