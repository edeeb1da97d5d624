"""Outcomes of models on the wire, and the domains they are of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from toolcrib_registry.types import RatingSource

from .shapes import WireIn, WireOut
from .words import Name, Text, Weight


class OutcomeIn(WireIn):
    """How a model did on a query: at least one of score, cost and latency."""

    query: Annotated[Text, Field(min_length=1, max_length=100_000)]
    """Its first 16,000 characters are kept."""
    model: Name
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    cost_usd: Weight | None = None
    latency_ms: Weight | None = None


class OutcomesIn(WireIn):
    """Outcomes of models. ``tenant`` and ``source`` are for administrators."""

    outcomes: Annotated[list[OutcomeIn], Field(min_length=1, max_length=10_000)]
    tenant: Name | None = None
    """Whose selections they may influence: your own unless given; ``everyone`` is all."""
    source: RatingSource = RatingSource.FEEDBACK


class RefusalOut(WireOut):
    """An outcome that was not taken."""

    where: str
    reason: str


class RecordedOut(WireOut):
    """What became of outcomes that were sent."""

    added: int
    updated: int
    unchanged: int
    refused: list[RefusalOut] = []


class ModelOutcomeOut(WireOut):
    """An outcome as it is kept."""

    id: str
    at: datetime
    tenant: str
    principal: str
    query: str
    model: str
    score: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    source: RatingSource


class ModelOutcomesOut(WireOut):
    """Outcomes, the latest first."""

    items: list[ModelOutcomeOut]


class TenantRoutingOut(WireOut):
    """How routing stands with one tenant."""

    tenant: str
    outcomes: int
    latest: datetime | None = None
    state: str
    """used, unjudged, refused, waiting, learning, failed or off."""
    reason: str
    queries: int = 0
    models: list[str] = []
    best_single: str | None = None
    domains: list[str] = []
    drifts: list[str] = []
    set_aside: list[str] = []
    """Principals whose outcomes are not heard, each with the reason."""
    learned_at: datetime | None = None
    took_s: float | None = None


class RoutingStateOut(WireOut):
    """How routing is set, and how it stands with each tenant that has outcomes."""

    mode: str
    tenants: list[TenantRoutingOut] = []


class DomainIn(WireIn):
    """Examples of a domain's queries."""

    examples: Annotated[
        list[Annotated[Text, Field(min_length=1, max_length=100_000)]],
        Field(min_length=1, max_length=2_000),
    ]


class DomainOut(WireOut):
    """A domain; ``*`` is the queries that set the threshold."""

    name: str
    examples: list[str]


class DomainsOut(WireOut):
    """Every domain, by name."""

    items: list[DomainOut]
