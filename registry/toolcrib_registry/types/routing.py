"""Outcomes of models, and the domains that queries lie in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RatingSource(StrEnum):
    """How it became known how well a model answered."""

    IMPORT = "import"
    VERIFIER = "verifier"
    """A check of the answer: a schema, a test, a pattern."""
    FEEDBACK = "feedback"
    APTITUDE = "aptitude"
    """A short test that a new model was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutcome:
    """How a model did on one query. Holds the query's text, never the answer's."""

    id: str
    at: datetime
    tenant: str
    """Whose selections it may influence."""
    principal: str
    """Who it comes from."""
    query: str
    model: str
    score: float | None = None
    """From 0 to 1; None when only cost and latency are known."""
    cost_usd: float | None = None
    latency_ms: float | None = None
    source: RatingSource = RatingSource.IMPORT


@dataclass(frozen=True, slots=True)
class Domain:
    """What an operator means a service to be for, by examples of its queries."""

    name: str
    examples: tuple[str, ...]
