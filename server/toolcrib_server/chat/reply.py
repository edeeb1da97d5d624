"""What comes of a chat: an answer, who gave it, why, and what it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from toolcrib_registry.types import JsonObject
from toolcrib_server.answers.examples import Example
from toolcrib_server.answers.lookup import Lookup
from toolcrib_server.cascade.climbing import Climbed
from toolcrib_server.cascade.plan import CascadePlan
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.invocation.models.order import Answered, Failed, ModelOrder

from .request import ChatRequest

_GIVEN_AGAIN = "The answer to an earlier request is given again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A chat of which all is decided that can be before anybody is asked."""

    request: ChatRequest
    order: ModelOrder
    """With the examples in it, where there are any and no cascade is climbed."""
    looked: Lookup | None = None
    """What the cache knew; None: nobody thinks of one."""
    plan: CascadePlan | None = None
    examples: tuple[Example, ...] = ()
    shows_question: bool = False
    """Whether it may be told what was asked before."""

    @property
    def streams(self) -> bool:
        """Whether the answer can come in chunks: it is neither checked nor there already."""
        return self.plan is None and self.asks

    @property
    def asks(self) -> bool:
        """Whether a model has to be asked at all."""
        return self.looked is None or self.looked.kept is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, and the way to it. ``measured`` is None where it was given again."""

    answer: JsonObject
    model: str
    provider: str | None
    reasons: tuple[str, ...]
    cost_usd: float | None
    """What all of it cost; None when a price is unknown."""
    failed: tuple[Failed, ...] = ()
    measured: Measured | None = None
    looked: Lookup | None = None
    climbed: Climbed | None = None
    examples: tuple[Example, ...] = ()
    shows_question: bool = False
    remote_model: str | None = None
    """What the provider called the model that answered, where it said so otherwise."""


def reply_of(prepared: Prepared, answered: Answered) -> Reply:
    """Reply with what a model answered."""
    return Reply(
        **_given(answered),
        failed=answered.failed,
        cost_usd=answered.measured.cost_usd,
        measured=answered.measured,
        looked=prepared.looked,
        examples=prepared.examples,
        shows_question=prepared.shows_question,
    )


def climbed_reply(prepared: Prepared, climbed: Climbed, *, examples: tuple[Example, ...]) -> Reply:
    """Reply with what a cascade came to; ``examples`` are those that its answer was given with."""
    answered = climbed.answered
    return Reply(
        **_given(answered),
        failed=answered.failed,
        cost_usd=climbed.cost_usd,
        measured=answered.measured,
        climbed=climbed,
        examples=examples,
        shows_question=prepared.shows_question,
    )


def kept_reply(prepared: Prepared) -> Reply:
    """Reply with an answer that was given before."""
    kept = prepared.looked.kept if prepared.looked else None
    assert kept is not None, "only a hit has an answer"
    return Reply(
        answer=named(kept.answer, kept.model),
        model=kept.model,
        provider=kept.provider,
        reasons=(_GIVEN_AGAIN,),
        cost_usd=0.0,
        looked=prepared.looked,
        shows_question=prepared.shows_question,
    )


def plain_reply(answered: Answered) -> Reply:
    """Reply with what a model answered where no cache and no cascade is thought of."""
    measured = answered.measured
    return Reply(
        **_given(answered),
        failed=answered.failed,
        cost_usd=measured.cost_usd,
        measured=measured,
    )


def named(answer: JsonObject, model: str) -> JsonObject:
    """Name the model in an answer, or in a part of one, as the registry does.

    A provider's own name for it may be a file's path.
    """
    return answer if answer.get("model") == model else {**answer, "model": model}


class Given(TypedDict):
    """An answer, who gave it, and why."""

    answer: JsonObject
    model: str
    provider: str | None
    reasons: tuple[str, ...]
    remote_model: str | None


def _given(answered: Answered) -> Given:
    candidate = answered.pick.candidate
    model, remote = candidate.model.name, answered.answer.get("model")
    return {
        "answer": named(answered.answer, model),
        "model": model,
        "provider": candidate.provider,
        "reasons": answered.pick.reasons,
        "remote_model": remote if isinstance(remote, str) and remote != model else None,
    }
