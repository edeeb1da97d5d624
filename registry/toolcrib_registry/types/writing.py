"""What a registered model wrote for search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenQuestions:
    """Example questions that a model wrote for a content; never its owner's words."""

    content_hash: str
    writer: str
    """The model, and the edition of what it was asked."""
    at: datetime
    questions: tuple[str, ...] = ()
    refusal: str | None = None
    """Why none of what it wrote was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReading:
    """How a model read a query: in English, where it was not, and in steps. Not the query."""

    query_hash: str
    writer: str
    at: datetime
    english: str | None = None
    steps: tuple[str, ...] = ()
