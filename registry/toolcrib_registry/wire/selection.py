"""A selection on the wire: limits and weights, the choices, and why."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, StrictBool, field_validator

from .models import OfferOut
from .shapes import WireIn, WireOut
from .words import MAX_NUMBER, Billions, Figure, Name, Price, Share, Text, Tokens, Weight, Words


class ConstraintsIn(WireIn):
    """Hard limits on a model. An unknown field never passes one."""

    max_price_in_usd: Price | None = None
    max_price_out_usd: Price | None = None
    max_cost_usd: Price | None = None
    """Of one call of ``tokensIn`` and ``tokensOut``."""
    tokens_in: Annotated[int, Field(ge=0, le=MAX_NUMBER, strict=True)] | None = None
    tokens_out: Annotated[int, Field(ge=0, le=MAX_NUMBER, strict=True)] | None = None
    min_context_tokens: Tokens | None = None
    min_output_tokens: Tokens | None = None
    modalities_in: Words = []
    modalities_out: Words = []
    licenses: Words | None = None
    """SPDX identifiers, in any case."""
    open_weights: StrictBool | None = None
    regions: Words | None = None
    abilities: list[Literal["tool_call", "structured_output", "reasoning"]] = []
    max_parameters_b: Billions | None = None
    max_p95_first_token_ms: Price | None = None
    """In 95 of 100 calls the answer begins within it; measured over 20 calls, or as stated."""
    max_p95_latency_ms: Price | None = None
    max_error_rate: Share | None = None
    providers: Words | None = None
    without_providers: Words = []

    @field_validator("abilities", mode="before")
    @classmethod
    def _either_spelling(cls, value: object) -> object:
        spellings = {"toolCall": "tool_call", "structuredOutput": "structured_output"}
        if not isinstance(value, list):
            return value
        words = cast("list[object]", value)
        return [spellings.get(word, word) if isinstance(word, str) else word for word in words]


class WeightsIn(WireIn):
    """What is weighed, where past outcomes say anything: quality, and cost and latency as shares of
    the dearest and the slowest model's. Budgets are for what one call is expected to take.
    """  # noqa: D205  # the sentences are one

    quality: Weight = 1.0
    cost: Weight = 0.0
    latency: Weight = 0.0
    max_cost_usd: Weight | None = None
    max_latency_ms: Weight | None = None
    default: Name | None = None
    """The model that is kept unless another's expected gain exceeds its uncertainty."""


class SelectQuery(WireIn):
    """What a model is wanted for, and under which limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "summarise a contract",
                    "constraints": {"maxPriceInUsd": 1, "minContextTokens": 100000},
                    "objective": "relevance",
                }
            ]
        }
    )

    task: Annotated[Text, Field(min_length=1, max_length=100_000)]
    constraints: ConstraintsIn = ConstraintsIn()
    objective: Literal["relevance", "cost", "context", "latency"] = "relevance"
    weights: WeightsIn = WeightsIn()
    k: Annotated[int, Field(ge=1, le=1000)] = 5
    max_exclusions: Annotated[int, Field(ge=0, le=10_000)] = 20


class ViolationOut(WireOut):
    """One limit that was not met. A ``value`` of null is unknown."""

    field: str
    value: Any = None
    bound: str
    source: str | None = None
    as_of: date | None = None


class ExclusionOut(WireOut):
    """A model at a provider that was excluded, and why."""

    model: str
    provider: str | None = None
    violations: list[ViolationOut]
    reason: str


class ExpectationOut(WireOut):
    """What past outcomes let one expect of a model for this task, with its 90 % interval."""

    model: str
    quality: Figure
    low: Figure
    high: Figure
    outcomes: int
    """Of the model, that were learned from; 0: it is expected by what it resembles."""
    cost_usd: Figure | None = None
    latency_ms: Figure | None = None
    reliability: Figure = 1.0
    """The share of calls that is not sure to fail, by those that were measured."""
    ground: str | None = None
    """Which calls cost and latency were measured over; null: they are from outcomes, or prices."""
    utility: Figure
    on_front: bool
    """No other is at least as good in quality, cost and latency, and better in one."""
    within_budget: bool


class ForecastOut(WireOut):
    """What a call at an offer should cost and take, retries included; null is unknown."""

    tokens_in: int
    tokens_out: Figure
    cost_usd: Figure | None = None
    latency_ms: Figure | None = None
    calls: int
    """That were measured lately; 0: cost is from prices, latency from what is stated."""
    ground: str | None = None
    error_rate: Figure | None = None
    changed: str | None = None
    """What changed lately, where older calls are left out for it."""


class DomainVerdictOut(WireOut):
    """Whether a task is of a domain that the operator described."""

    name: str | None = None
    """Null: it is outside of all."""
    nearest: str
    in_domain: bool
    score: float
    threshold: float
    share: float
    """Of the calibrating queries, those no nearer than this one."""
    reason: str


class StageOut(WireOut):
    """One stage of a selection, and what came of it."""

    stage: str
    said: str


class RoutingOut(WireOut):
    """What past outcomes say among the models that meet every limit."""

    choice: str | None = None
    default: str | None = None
    """What was held against it."""
    gain: Figure | None = None
    uncertainty: Figure | None = None
    """What the gain had to exceed; null: nothing would have been enough."""
    domain: DomainVerdictOut | None = None
    reasons: list[str] = []
    ranked: list[ExpectationOut] = []
    stages: list[StageOut] = []


class ChoiceOut(WireOut):
    """One choice: a model at its best offer, and why it stands here."""

    model: str
    title: str | None = None
    relevance: Figure
    offer: OfferOut | None = None
    alternatives: list[str] = []
    """The other providers that meet every limit, best first."""
    reasons: list[str] = []
    expected: ExpectationOut | None = None
    forecast: ForecastOut | None = None


class SelectResults(WireOut):
    """The choices, best first, and what was excluded."""

    choices: list[ChoiceOut]
    exclusions: list[ExclusionOut]
    """The first ``maxExclusions`` of them."""
    excluded_by: dict[str, int]
    """How many candidates each field excludes."""
    considered: int
    passed: int
    notes: list[str] = []
    revision: int = 0
    routing: RoutingOut | None = None
    """Null while nothing was learned from outcomes, or where another objective was asked for."""
