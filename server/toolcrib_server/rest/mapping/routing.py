"""Routing's domain objects to wire models and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from toolcrib_registry import wire
from toolcrib_registry.types import Domain, ModelOutcome
from toolcrib_server.routing.desk import Recorded
from toolcrib_server.routing.rows import MAX_QUERY_CHARS, OutcomeRow
from toolcrib_server.routing.stages import stages_of
from toolcrib_server.routing.standing import TenantRouting
from toolcrib_server.routing.weights import Weights
from toolcrib_server.selection.choices import Selection

if TYPE_CHECKING:
    from toolcrib_server.selection.forecast import Expected
    from toolcrib_server.selection.routing.choice import Expectation
    from toolcrib_server.selection.routing.guard import DomainVerdict


def weights_from(given: wire.WeightsIn) -> Weights:
    """Build weights."""
    return Weights(**{name: getattr(given, name) for name in type(given).model_fields})


def routing_out(selection: Selection) -> wire.RoutingOut | None:
    """Show the routing of a selection, if there was one."""
    routing = selection.routing
    if routing is None:
        return None
    choice = routing.choice
    return wire.RoutingOut(
        choice=choice.model,
        default=choice.default,
        gain=choice.gain,
        uncertainty=None if choice.uncertainty == float("inf") else choice.uncertainty,
        domain=_verdict_out(routing.domain) if routing.domain else None,
        reasons=list(choice.reasons),
        ranked=[expectation_out(one) for one in choice.ranked],
        stages=[wire.StageOut(stage=stage.name, said=stage.said) for stage in stages_of(selection)],
    )


def expectation_out(one: Expectation) -> wire.ExpectationOut:
    """Show what is expected of a model."""
    return wire.ExpectationOut(
        model=one.model,
        quality=one.quality,
        low=one.low,
        high=one.high,
        outcomes=one.outcomes,
        cost_usd=one.cost_usd,
        latency_ms=one.latency_ms,
        reliability=one.reliability,
        ground=one.ground,
        utility=one.utility,
        on_front=one.on_front,
        within_budget=one.within_budget,
    )


def forecast_out(one: Expected) -> wire.ForecastOut:
    """Show what a call at an offer is expected to cost and to take."""
    return wire.ForecastOut(**asdict(one))


def rows_from(given: wire.OutcomesIn) -> tuple[OutcomeRow, ...]:
    """Build outcomes; each is named by its place in the list."""
    return tuple(
        OutcomeRow(
            where=f"outcomes.{place}",
            query=one.query[:MAX_QUERY_CHARS],
            model=one.model,
            score=one.score,
            cost_usd=one.cost_usd,
            latency_ms=one.latency_ms,
        )
        for place, one in enumerate(given.outcomes)
    )


def recorded_out(recorded: Recorded) -> wire.RecordedOut:
    """Show what became of outcomes."""
    return wire.RecordedOut(
        added=recorded.added,
        updated=recorded.updated,
        unchanged=recorded.unchanged,
        refused=[wire.RefusalOut(where=r.where, reason=r.reason) for r in recorded.refusals],
    )


def model_outcome_out(one: ModelOutcome) -> wire.ModelOutcomeOut:
    """Show an outcome."""
    return wire.ModelOutcomeOut(**{f.name: getattr(one, f.name) for f in fields(one)})


def tenant_routing_out(state: TenantRouting) -> wire.TenantRoutingOut:
    """Show how it stands with a tenant."""
    return wire.TenantRoutingOut.model_validate(
        {f.name: getattr(state, f.name) for f in fields(state)}
    )


def domain_out(domain: Domain) -> wire.DomainOut:
    """Show a domain."""
    return wire.DomainOut(name=domain.name, examples=list(domain.examples))


def _verdict_out(verdict: DomainVerdict) -> wire.DomainVerdictOut:
    return wire.DomainVerdictOut(
        name=verdict.domain,
        nearest=verdict.nearest,
        in_domain=verdict.domain is not None,
        score=verdict.score,
        threshold=verdict.threshold,
        share=verdict.share,
        reason=verdict.reason,
    )
