"""What is shown of a routing: the verdict, what is expected of each model, the choice and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from toolcrib_registry.numbers import tidy
from toolcrib_server.routing.stages import stages_of
from toolcrib_server.selection.choices import Selection

from .spelling import camel

if TYPE_CHECKING:
    from toolcrib_server.selection.forecast import Expected
    from toolcrib_server.selection.routing.choice import Expectation
    from toolcrib_server.selection.routing.guard import DomainVerdict
    from toolcrib_server.selection.routing.router import Routing


def routing_view(selection: Selection) -> dict[str, Any]:
    """Show the routing of a selection with its stages; empty where there was none."""
    if selection.routing is None:
        return {}
    stages = [{"stage": stage.name, "said": stage.said} for stage in stages_of(selection)]
    return {"routing": {**render_routing(selection.routing), "stages": stages}}


def render_routing(routing: Routing) -> dict[str, Any]:
    """Render a routing, the chosen model first."""
    choice = routing.choice
    return {
        "choice": choice.model,
        "default": choice.default,
        "gain": _rounded(choice.gain),
        "uncertainty": _rounded(choice.uncertainty),
        "domain": _verdict(routing.domain) if routing.domain else None,
        "reasons": list(choice.reasons),
        "ranked": [render_expectation(one) for one in choice.ranked],
    }


def render_expectation(one: Expectation) -> dict[str, Any]:
    """Render what is expected of a model."""
    return {
        "model": one.model,
        "quality": round(one.quality, 4),
        "low": round(one.low, 4),
        "high": round(one.high, 4),
        "outcomes": one.outcomes,
        "costUsd": None if one.cost_usd is None else tidy(one.cost_usd),
        "latencyMs": None if one.latency_ms is None else round(one.latency_ms, 1),
        "reliability": round(one.reliability, 4),
        "ground": one.ground,
        "utility": round(one.utility, 4),
        "onFront": one.on_front,
        "withinBudget": one.within_budget,
    }


def render_forecast(one: Expected) -> dict[str, Any]:
    """Render what a call at an offer should cost and take; what is unknown is left out."""
    view = camel(asdict(one))
    return {k: tidy(v) if isinstance(v, float) else v for k, v in view.items() if v is not None}


def _verdict(verdict: DomainVerdict) -> dict[str, Any]:
    return {
        "name": verdict.domain,
        "nearest": verdict.nearest,
        "inDomain": verdict.domain is not None,
        "score": round(verdict.score, 4),
        "threshold": round(verdict.threshold, 4),
        "share": round(verdict.share, 4),
        "reason": verdict.reason,
    }


def _rounded(value: float) -> float | None:
    """Round; what no gain could exceed is null, for JSON has no infinity."""
    return None if value == float("inf") else round(value, 4)
