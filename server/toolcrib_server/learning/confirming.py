"""Which questions of a tenant are known to have had an answer, and what that says of abstaining.

A question is confirmed when what was found for it worked, in a call or by somebody's word, and is
still there. Knows no store and no clock: outcomes, vectors and a retriever are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from toolcrib_registry.types import Outcome

from .plausibility import UNSEEN
from .replay import Arm, Retriever, Vectors

if TYPE_CHECKING:
    from toolcrib_embeddings.abstention.confirmation import Confirmation
    from toolcrib_embeddings.learning.lessons import Lessons
    from toolcrib_embeddings.learning.testimony import Testimony

MOST_CONFIRMED: Final = 500
"""Questions, the newest; more would tell a share of 2 % no better and cost seconds."""
_OLDEST_DAYS: Final = 180
"""Two half-lives of what is remembered: what was asked before tells little of what is asked."""
_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A confirmed question, and the principals who confirm it."""

    query: str
    query_hash: str
    voices: frozenset[str]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """How many questions are confirmed, and what they say; None while they are too few."""

    questions: int
    independent: int
    """Those left whichever one principal is left out: so many count."""
    confirmation: Confirmation | None


def confirm_by(
    outcomes: Sequence[Outcome],
    retriever: Retriever,
    vectors: Vectors,
    *,
    arm: Arm | None,
    now: datetime,
) -> Confirmed:
    """Learn from a tenant's outcomes where to abstain, by searches as they are served.

    ``arm`` is what searches use of the rest that was learned. An adapter has seen the very
    questions, which it finds more easily than new ones: each is asked with one that has not.
    """
    from toolcrib_embeddings.abstention.confirmation import (  # noqa: PLC0415  # slow to import
        Answered,
        confirm,
        count_independent,
    )
    from toolcrib_embeddings.abstention.judging import FALSE_ABSTENTIONS  # noqa: PLC0415  # the same

    unseeing = _unseeing(outcomes, vectors) if arm and arm.adapter else ()
    answered: list[Answered] = []
    for one in confirmed_questions(outcomes, retriever, now=now):
        lessons = unseeing[_part(one.query_hash)] if unseeing else None
        strength = retriever.strength(one.query, lessons=lessons)
        if strength is not None:
            answered.append(Answered(strength, one.voices))
    learned = confirm(answered, error_rate=FALSE_ABSTENTIONS)
    return Confirmed(len(answered), count_independent(answered), learned)


def confirmed_questions(
    outcomes: Sequence[Outcome], found: Retriever, *, now: datetime
) -> list[Asked]:
    """Give the newest questions for which something that is still to be found worked."""
    from toolcrib_embeddings.learning.testimony import hear  # noqa: PLC0415  # slow to import

    oldest = timedelta(days=_OLDEST_DAYS)
    recent = [
        one
        for one in outcomes
        if one.weight > UNSEEN and one.entry in found and now - one.at <= oldest
    ]
    texts = {one.query_hash: one.query for one in recent}
    last = {one.query_hash: one.at for one in sorted(recent, key=lambda one: one.at)}
    voices = _voices(hear(recent))
    newest = sorted(voices, key=lambda key: (last[key], key), reverse=True)[:MOST_CONFIRMED]
    return [Asked(texts[key], key, voices[key]) for key in newest]


def _voices(said: Testimony) -> dict[str, frozenset[str]]:
    """Tell who confirms each question: those who speak for what more speak for than against."""
    balance: dict[tuple[int, int], float] = {}
    speak_for: dict[tuple[int, int], set[str]] = {}
    for row in range(len(said)):
        pair, verdict = (int(said.query[row]), int(said.entry[row])), float(said.verdict[row])
        balance[pair] = balance.get(pair, 0.0) + verdict
        if verdict > 0:
            speak_for.setdefault(pair, set()).add(said.principals[int(said.principal[row])])
    voices: dict[str, frozenset[str]] = {}
    for (query, entry), who in speak_for.items():
        if balance[query, entry] > 0:
            key = said.queries[query]
            voices[key] = voices.get(key, frozenset()) | who
    return voices


def _unseeing(outcomes: Sequence[Outcome], vectors: Vectors) -> list[Lessons]:
    """Train an adapter for each part of the questions, by those of the other parts."""
    from toolcrib_embeddings.learning.adapter import train_adapter  # noqa: PLC0415  # slow to import
    from toolcrib_embeddings.learning.lessons import Lessons  # noqa: PLC0415  # the same

    lessons: list[Lessons] = []
    for part in range(_PARTS):
        others = [one for one in outcomes if _part(one.query_hash) != part]
        adapter = train_adapter(
            others, vectors.queries, vectors.entries, encoder_id=vectors.encoder_id
        )
        lessons.append(Lessons("", str(part), adapter))
    return lessons


def _part(query_hash: str) -> int:
    return int(query_hash[:8], 16) % _PARTS
