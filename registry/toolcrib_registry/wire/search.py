"""A search on the wire: what is asked, and what is found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool

from toolcrib_registry.types import EntryKind, NeedSource

from .models import ModelOut
from .shapes import WireIn, WireOut
from .words import MAX_NUMBER, Name, Query, Tags, no_truth


class SearchQuery(WireIn):
    """What is looked for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "what time is it in Tokyo", "k": 3}]}
    )

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=16)]
    """The task, or its steps: the answer covers each of them."""
    k: Annotated[int, Field(ge=1, le=1000), BeforeValidator(no_truth)] = 5
    kinds: list[EntryKind] | None = None
    servers: list[Name] | None = None
    tags: Tags | None = None
    """Each must be on the entry or on its server."""
    read_only: StrictBool = False
    """Only tools that say that they only read."""
    destructive: StrictBool = True
    """False: only tools that say that they destroy nothing, or that they only read."""
    detail: Literal["name", "brief", "full"] = "brief"
    """``name``: names and scores. ``brief``: descriptions, shortened. ``full``: definitions too."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    """Leave out the last hits when the hits together would have more tokens."""
    rerank: Literal["auto", "on", "off"] = "auto"
    """Whether a second stage orders the best: ``auto`` where there is time for it."""
    split: StrictBool = True
    """Split a task of several steps, and cover each."""
    fold: StrictBool = True
    """Put near-duplicates under the best of them, as its ``alternatives``."""
    dependencies: StrictBool = True
    """Bring along what the hits depend on."""
    explain: StrictBool = False
    """Say of every signal what it gave to the score, not only which retriever found a hit."""
    group_by: Literal["server"] | None = None


class SignalOut(WireOut):
    """Where one signal ranked a hit (1 is first), its own score, and its part of the hit's."""

    rank: int
    score: float
    contribution: float | None = None


class SearchHit(WireOut):
    """One found entry. ``signals`` says what found it."""

    id: str
    kind: EntryKind
    name: str
    score: float
    signals: dict[str, SignalOut] = {}
    server: str | None = None
    title: str | None = None
    description: str | None = None
    definition: dict[str, Any] | None = None
    model: ModelOut | None = None
    likelihood: float | None = None
    """Calibrated probability that it fits; null while nothing is calibrated."""
    alternatives: list[str] = []
    """Names of near-duplicates, best first."""
    required_by: list[str] = []
    """Names of the hits that depend on it, when that is why it is here."""
    required_how: NeedSource | None = None
    """How that is known: declared by its owner, learned from calls, or read off schemas."""
    required_why: str | None = None
    """The same in words, for what was learned, where an explanation is asked for."""
    steps: list[int] = []
    """Which steps it answers, as places in the results' ``steps``, from 0."""
    marked: list[str] = []
    """Why it wants a look, if it does."""
    stale_since: datetime | None = None
    """Its server could not be reached since it was last seen then: it may have changed."""


class SearchGroup(WireOut):
    """The hits of one server, by name, best first; null is none's."""

    server: str | None
    names: list[str]


class GroundsOut(WireOut):
    """How often a search says wrongly that nothing fits, and what says so."""

    error_rate: float
    """Of the questions that have an answer, the share that is said to have none."""
    basis: str
    """confirmed: questions that had an answer; registry: its own scale; shipped: neither."""
    questions: int = 0
    """How many were confirmed, where the error rate rests on them."""


class SearchResults(WireOut):
    """The hits, best first, true for a revision of the registry."""

    query: str | list[str]
    hits: list[SearchHit]
    revision: int
    searched: int
    left_out: int = 0
    """Hits dropped to stay within ``maxTokens``."""
    steps: list[str] = []
    """The steps of the task; empty when it is one."""
    unanswered: list[int] = []
    """Steps, as places in ``steps``, for which nothing seems to fit."""
    step_likelihoods: list[float] = []
    """Calibrated probability that anything fits each step; empty while nothing is calibrated."""
    split_by: Literal["asker", "rules", "model"] | None = None
    """Who found the steps; null where it is one."""
    read_by: str | None = None
    """The model that read the query, where one did."""
    english: str | None = None
    """The query in English, as that model read it, where it was in another language."""
    notice: str | None = None
    """What to know of how the query was understood, as that its script is unknown; and why what was
    learned from use had no part in the answer, where it should have had one."""
    unwanted: list[str] = []
    """What the query says is not wanted: it was not searched for."""
    likelihood: float | None = None
    """Calibrated probability that anything here fits; null while nothing is calibrated."""
    abstained: bool = False
    """Nothing seems to fit: the hits are the nearest there are, and unlikely."""
    grounds: GroundsOut | None = None
    """What ``abstained`` rests on; null while nothing is calibrated."""
    reranked: bool = False
    rerank_off: str | None = None
    """Why the second stage did not order them, where it was wanted and can be mended."""
    took_ms: float = 0.0
    """What finding them took; an answer that is asked for again is not found again."""
    lexical_only: bool = False
    """Entries were found by their words alone: all of them, or those that have no vector."""
    lexical_only_reason: str | None = None
    groups: list[SearchGroup] | None = None
