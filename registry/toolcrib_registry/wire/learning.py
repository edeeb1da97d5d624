"""Learning from use on the wire: feedback, what came of it, and what was learned."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from toolcrib_registry.types import EntryKind, Verdict

from .shapes import WireIn, WireOut
from .words import Name, Text


class FeedbackIn(WireIn):
    """What came of an entry for a query. ``name`` is the entry's, as search gave it."""

    query: Annotated[Text, Field(min_length=1, max_length=100_000)]
    """What was searched for; its first 4,000 characters are kept."""
    name: Name
    verdict: Verdict = Verdict.WORKED


class FeedbackOut(WireOut):
    """Feedback as it was recorded."""

    id: str
    at: datetime
    kind: EntryKind
    name: str
    verdict: Verdict
    weight: float
    """How plausible search finds it, 0 to 1: how much it counts while nobody else agrees."""


class ForgottenOut(WireOut):
    """How many outcomes were forgotten."""

    forgotten: int


class AnswerCacheOut(WireOut):
    """How the cache of answers stands, in the process that was asked."""

    mode: str
    """off, exact, semantic or examples: what the operator allows."""
    answers: int
    bytes: int
    outcomes: dict[str, int]
    """Chats since the process started: exact, near, miss, skipped."""
    refusals: dict[str, int]
    """Similar questions that were found to ask something else, by what differs."""
    saved_usd: float
    examples: int = 0
    """Earlier answers that were shown to smaller models."""


class LearningWait(WireOut):
    """Something that learning waits for."""

    what: str
    have: int
    needed: int


class TenantLearningOut(WireOut):
    """How learning stands with one tenant."""

    tenant: str
    outcomes: int
    in_use: str | None = None
    """What searches use of it; null is nothing."""
    reason: str
    judged_at: datetime | None = None
    confirmed: int = 0
    """Questions that are known to have had an answer, when it was last replayed."""
    abstains_by: str
    """What the error rate of abstaining rests on."""
    waits: list[LearningWait] = []
    """What is too little yet."""
    report: dict[str, Any] | None = None
    """The last replay: NDCG@10 before, and the gain of each way of using what was learned."""


class LearnedNeedOut(WireOut):
    """A tool that calls taught another one to bring along, for one tenant."""

    tenant: str
    tool: str
    needs: str
    why: str


class RefusedNeedIn(WireIn):
    """Two tools of which the first is not to bring the second along."""

    tool: Name
    needed: Name


class RefusedNeedOut(WireOut):
    """Two tools of which the first is never to bring the second along."""

    tool: str
    needed: str


class NeedSettledOut(WireOut):
    """What came of refusing a need, or of taking that back."""

    tool: str
    needed: str
    refused: bool
    """How it stands now."""
    changed: bool
    declared: bool = False
    """Its owner declares the need: then it stays, whatever is refused."""


class LearningOut(WireOut):
    """How learning is set, how it stands with each tenant, and what tools bring along."""

    mode: str
    tenants: list[TenantLearningOut] = []
    needs: list[LearnedNeedOut] = []
    refused: list[RefusedNeedOut] = []
