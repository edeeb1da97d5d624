"""What would use teach, and what could an attacker do? Simulates outcomes from judged queries.

Some queries of a set are asked by many principals, whose outcomes are what the judgements say; the
rest is unseen, and judges. Attackers add wrong outcomes. Learning then goes exactly as it does in
production: replay, gate, and whatever the gate lets through. Everything is seeded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from toolcrib_registry.types import EntryId, Outcome, OutcomeSource, Verdict

from .gate import Choice, decide
from .plausibility import RECALLED, plausibility
from .replay import Case, Gain, Retriever, Vectors, gain_of, judge, replay

TENANT: Final = "simulated"
_START_YEAR: Final = 2026
_MINUTES_APART: Final = 40
_HONEST: Final = 40
"""Principals; the first ask most."""


class Wrong(StrEnum):
    """What an attacker says, of queries that others ask."""

    RANDOM = "random"
    """That any other tool worked."""
    PROMOTED = "promoted"
    """That one and the same tool worked, whatever was asked."""
    SLANDER = "slander"
    """That the right tool failed."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How wrong outcomes come in: what they say, and by how many principals."""

    says: Wrong
    principals: int
    share: float = 0.2
    """Of all outcomes."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{self.says}, {self.principals} principals"


FEW: Final = 2
MANY: Final = 100
ATTACKS: Final = tuple(Attack(says, count) for says in Wrong for count in (FEW, MANY))


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQueries:
    """A set to simulate on: queries by id, and what is relevant to each."""

    name: str
    entries: tuple[EntryId, ...]
    queries: Mapping[str, str]
    relevant: Mapping[str, frozenset[EntryId]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is simulated."""

    outcomes: int = 2_000
    """At most; all of them together, an attacker's included."""
    share: float = 0.6
    """Of the queries at most, that outcomes come from."""
    unseen: int = 400
    """Queries that judge, at most."""
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One simulation: what was in use after it, and what that gained on unseen queries."""

    attack: str | None
    outcomes: int
    used: str | None
    reason: str
    gain: Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """A set's simulations, the one without an attack first."""

    name: str
    asked: int
    """Queries that outcomes came from, without an attack."""
    unseen: int
    before: float
    trials: tuple[Trial, ...]


def simulate(
    judged: JudgedQueries,
    retriever: Retriever,
    vectors: Vectors,
    *,
    plan: Plan = Plan(),
    attacks: Sequence[Attack] = ATTACKS,
    on_progress: Callable[[int, int], None] | None = None,
) -> SetResult:
    """Learn from a part of the queries, and judge on the rest, with and without each attack."""
    asked, unseen = _split(judged, plan)
    honest = list(_honest(judged, asked, retriever, plan))
    before: list[float] = []
    trials: list[Trial] = []
    for number, attack in enumerate((None, *attacks), start=1):
        outcomes = _poisoned(honest, judged, attack, retriever, plan)
        before, trial = _try(outcomes, unseen, retriever, vectors, attack)
        trials.append(trial)
        if on_progress:
            on_progress(number, len(attacks) + 1)
    return SetResult(
        name=judged.name,
        asked=len({one.query_hash for one in honest}),
        unseen=len(unseen),
        before=sum(before) / len(before) if before else 0.0,
        trials=tuple(trials),
    )


def _split(judged: JudgedQueries, plan: Plan) -> tuple[list[str], list[Case]]:
    ids = sorted(judged.queries)
    _seeded(plan.seed).shuffle(ids)
    cut = int(plan.share * len(ids))
    texts = {judged.queries[id_] for id_ in ids[:cut]}
    held = [id_ for id_ in ids[cut:] if judged.queries[id_] not in texts][: plan.unseen]
    cases = [_case(judged.queries[id_], judged.relevant[id_]) for id_ in held]
    return ids[:cut], cases


def _case(text: str, relevant: frozenset[EntryId]) -> Case:
    return Case(text, query_hash(text), relevant)


def _honest(
    judged: JudgedQueries, asked: Sequence[str], retriever: Retriever, plan: Plan
) -> Iterator[Outcome]:
    draw = _seeded(plan.seed + 1)
    count = 0
    for id_ in asked:
        text = judged.queries[id_]
        # Few ask much and many ask little.
        principal = f"user-{min(int(draw.paretovariate(0.5)), _HONEST)}"
        ids = retriever.recall(text, k=RECALLED)
        for entry in sorted(judged.relevant[id_]):
            if count >= plan.outcomes:
                return
            yield _outcome(count, principal, text, entry, ids)
            count += 1


def _poisoned(
    honest: Sequence[Outcome],
    judged: JudgedQueries,
    attack: Attack | None,
    retriever: Retriever,
    plan: Plan,
) -> list[Outcome]:
    """Put wrong outcomes in the place of as many honest ones, all over the time."""
    if attack is None:
        return list(honest)
    draw = _seeded(plan.seed + 2)
    wrong = int(attack.share * len(honest))
    poisoned = list(honest)
    promoted = draw.choice(judged.entries)
    asked = sorted({one.query: one for one in honest}.values(), key=lambda one: one.id)
    for number, place in enumerate(draw.sample(range(len(honest)), wrong)):
        about = draw.choice(asked)
        entry = _accused(attack.says, about, promoted, judged, draw)
        ids = retriever.recall(about.query, k=RECALLED)
        principal = f"attacker-{number % attack.principals}"
        poisoned[place] = _outcome(place, principal, about.query, entry, ids)
        if attack.says is Wrong.SLANDER:
            poisoned[place] = replace(poisoned[place], verdict=Verdict.FAILED)
    return poisoned


def _accused(
    says: Wrong, about: Outcome, promoted: EntryId, judged: JudgedQueries, draw: random.Random
) -> EntryId:
    match says:
        case Wrong.RANDOM:
            return draw.choice(judged.entries)
        case Wrong.PROMOTED:
            return promoted
        case Wrong.SLANDER:
            return about.entry


def _outcome(
    number: int, principal: str, query: str, entry: EntryId, ids: Sequence[EntryId]
) -> Outcome:
    return Outcome(
        id=f"{number:09}",
        at=datetime(_START_YEAR, 1, 1, tzinfo=UTC) + timedelta(minutes=_MINUTES_APART * number),
        tenant=TENANT,
        principal=principal,
        query=query,
        entry=entry,
        verdict=Verdict.WORKED,
        source=OutcomeSource.CALL,
        weight=plausibility(entry, ids),
    )


def query_hash(text: str) -> str:
    """Give the key of a query's vector."""
    return _outcome(0, "", text, EntryId(""), ()).query_hash


def _try(
    outcomes: Sequence[Outcome],
    unseen: Sequence[Case],
    retriever: Retriever,
    vectors: Vectors,
    attack: Attack | None,
) -> tuple[list[float], Trial]:
    choice: Choice = decide(replay(outcomes, retriever, vectors), in_use=None)
    arms = [choice.arm] if choice.arm else []
    now = outcomes[-1].at
    before, after = judge(unseen, outcomes, retriever, vectors, arms=arms, now=now)
    used = choice.arm.name if choice.arm else None
    gain = gain_of(used or "nothing", before, after[used] if used else before)
    trial = Trial(
        attack=attack.name if attack else None,
        outcomes=len(outcomes),
        used=used,
        reason=choice.reason,
        gain=gain,
    )
    return before, trial


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # a simulation, no secret
