"""What an evaluation of routing found, as data, and the stable names it is written under."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from toolcrib_registry.spelling import camel
from toolcrib_registry.types import JsonObject

from .measures import Calibration, Curve, Gap

FORMAT: Final = "toolcrib-routing-evaluation/1"
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """How one way of choosing did, quality first and over the trade-offs with cost."""

    name: str
    score: float
    """Mean score of what it chose."""
    error: float
    difference: float
    """From the best single model, over the same queries."""
    difference_error: float
    cost_usd: float | None
    """Mean cost of what it chose; None without costs."""
    aiq: float | None
    """Mean score over the costs from the cheapest to the dearest model, along its hull."""
    hull: Curve | None
    gap: Gap | None
    """Of two models: how it closes the gap between them."""
    apgr_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingResult:
    """One set."""

    name: str
    folder: str
    data_hash: str
    queries: int
    judged: int
    learned: int
    """Past queries that each part was learned from."""
    models: tuple[str, ...]
    has_costs: bool
    policies: tuple[PolicyResult, ...]
    calibration: Calibration
    routed_share: float
    """Of the queries, those on which the default gave way."""
    abstention: Curve
    """Mean score when only the surest share is routed."""
    checks: int
    violations: int
    """Choices outside random limits, of all that were checked."""
    decision_p50_ms: float
    decision_p95_ms: float
    learn_s: float
    weights: Mapping[str, float]
    repeats: int = 1
    """How often the set was split anew; more than one: errors are over splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """One guard set."""

    name: str
    folder: str
    data_hash: str
    examples: int
    domains: tuple[str, ...]
    inside: int
    outside: int
    auroc: float
    auroc_cosine: float
    """Of the mean cosine of the ten nearest examples alone."""
    calibrating: int
    draws: int
    score: float
    """Harmonic mean of the two accuracies, averaged over draws of the calibrating queries."""
    score_spread: float
    inside_accuracy: float
    """Let in, and given the right domain."""
    outside_accuracy: float
    """Refused."""
    domain_accuracy: float
    """The right domain, whether let in or not."""
    abstention: Curve
    """Share of right domains among those let in (in or out of domain), by the share let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingEvaluation:
    """All that one run of the command found."""

    command: str
    at: datetime
    version: str
    encoder: str
    machine: str
    seed: int
    split: str
    sets: tuple[RoutingResult, ...]
    guards: tuple[GuardResult, ...]
    seconds: float


def render_results(evaluation: RoutingEvaluation) -> JsonObject:
    """Render it as JSON. Shares and scores are from 0 to 1."""
    rendered = _plain(evaluation)
    return {"format": FORMAT, **cast("dict[str, Any]", rendered)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {camel(name): _plain(item) for name, item in fields}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in cast("tuple[Any, ...]", value)]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return round(value, _DIGITS) if isinstance(value, float) else value
