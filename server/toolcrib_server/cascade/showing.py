"""Tells of a climb: who was asked, what the checks said, what it cost. The same on every face."""

from __future__ import annotations

from typing import Any

from .climbing import Climbed, Step


def climb_view(climbed: Climbed) -> dict[str, Any]:
    """Show a climb, step by step."""
    return {
        "accepted": climbed.accepted,
        "threshold": round(climbed.threshold.score, 4),
        "thresholdReason": climbed.threshold.reason,
        "costUsd": climbed.cost_usd,
        "steps": [_step_view(step) for step in climbed.steps],
    }


def climb_line(climbed: Climbed) -> str:
    """Say it in a line."""
    return "; ".join(_step_line(step) for step in climbed.steps)


def _step_view(step: Step) -> dict[str, Any]:
    view: dict[str, Any] = {"model": step.model, "accepted": step.accepted}
    if step.error is not None:
        return view | {"error": step.error.detail}
    costs = [each.cost_usd for each in step.spent]
    known = [cost for cost in costs if cost is not None]
    return view | {
        "score": None if step.score is None else round(step.score, 4),
        "checks": [
            {"kind": verdict.kind.value, "score": round(verdict.score, 4), "detail": verdict.detail}
            for verdict in step.verdicts
        ],
        "calls": len(costs),
        "costUsd": sum(known) if len(known) == len(costs) else None,
    }


def _step_line(step: Step) -> str:
    if step.error is not None:
        return f"{step.model} failed: {step.error.detail}"
    worst = min(step.verdicts, key=lambda verdict: verdict.score)
    return f"{step.model} {'accepted' if step.accepted else 'rejected'}: {worst.detail}"
