"""Which model for this, under these limits? Hard limits first, then a ranking that says why.

`select_models` is a pure function over candidates; `ModelSelector` gives it those of the registry,
with their relevance to the task. First cut: relevance is the search index's score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, EntryKind, Known, Model, Revision

if TYPE_CHECKING:
    # The index is slow to import and opened late; see `sync.indexer`.
    from toolcrib_embeddings.search import SearchIndex

from .candidate import Candidate, candidates_of, count_models
from .constraint import Constraints, Exclusion, limits_of, violations_of

NO_LIMITS = Constraints()
MAX_K = 1_000
_THREADS = 2
"""Encoding uses the cores by itself; more selections at once only fight for them."""
_TYPICAL_TOKENS_IN = 3
_TYPICAL_TOKENS_OUT = 1
"""What a call is taken to be when its size is not given: three parts sent, one received."""


class Objective(StrEnum):
    """What decides among the candidates that meet every limit."""

    RELEVANCE = "relevance"
    """The most relevant model; the cheaper of equals."""
    COST = "cost"
    """The cheapest; the more relevant of equals. An unknown price comes last."""
    CONTEXT = "context"
    """The longest context; the more relevant of equals. An unknown length comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model that meets every limit, at its best offer. ``alternatives`` are its other offers."""

    candidate: Candidate
    reasons: tuple[str, ...]
    alternatives: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The ranked choices, best first, and all that was excluded, with the reasons."""

    choices: tuple[Choice, ...]
    exclusions: tuple[Exclusion, ...]
    considered: int
    """How many candidates there were."""
    passed: int
    """How many of them met every limit."""
    notes: tuple[str, ...] = ()
    revision: Revision = Revision(0)

    @property
    def excluded_by(self) -> dict[str, int]:
        """How many candidates each field excludes, most first. A candidate may fail several."""
        failed = (
            field for e in self.exclusions for field in dict.fromkeys(v.field for v in e.violations)
        )
        return dict(Counter(failed).most_common())


def select_models(
    candidates: Sequence[Candidate],
    constraints: Constraints = NO_LIMITS,
    *,
    objective: Objective = Objective.RELEVANCE,
    k: int | None = None,
) -> Selection:
    """Choose among candidates: drop those that fail a limit, rank the rest, one choice a model.

    Ties go to the cheaper, then by name. ``k`` cuts the choices, never the exclusions.

    Raises:
        InvalidInput: A limit makes no sense by itself.
    """
    constraints.check()
    limits = limits_of(constraints)
    passed: list[Candidate] = []
    exclusions: list[Exclusion] = []
    for candidate in candidates:
        if violations := violations_of(candidate, limits):
            exclusions.append(Exclusion(candidate, violations))
        else:
            passed.append(candidate)
    passed.sort(key=lambda candidate: _rank(candidate, objective, constraints))
    selection = Selection(
        choices=tuple(islice(_choices(passed, objective, constraints), k)),
        exclusions=tuple(exclusions),
        considered=len(candidates),
        passed=len(passed),
    )
    return replace(selection, notes=tuple(_notes(selection, candidates, constraints)))


class ModelSelector:
    """Selects among the live models of the registry.

    Candidates are read once for each revision of the registry and kept, so that a selection costs
    a search and a pass over them.
    """

    def __init__(self, store: Store, index: Callable[[], Awaitable[SearchIndex]]) -> None:
        self._store = store
        self._index = index
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._kept: tuple[Revision, tuple[Model, ...]] | None = None

    async def select(
        self,
        task: str,
        *,
        constraints: Constraints = NO_LIMITS,
        objective: Objective = Objective.RELEVANCE,
        k: int = 5,
    ) -> Selection:
        """Rank the ``k`` models that suit ``task`` best among those that meet every limit.

        Raises:
            InvalidInput: The task is blank, ``k`` is out of range or a limit makes no sense.
        """
        _check(task, k)
        constraints.check()
        index = await self._index()
        return await anyio.to_thread.run_sync(
            self._select, index, task, constraints, objective, k, limiter=self._limiter
        )

    def _select(
        self, index: SearchIndex, task: str, constraints: Constraints, objective: Objective, k: int
    ) -> Selection:
        revision, models = self._live_models()
        relevance = _relevance(index, task, len(models))
        candidates = [
            candidate
            for model in models
            for candidate in candidates_of(model, relevance=relevance.get(model.id, 0.0))
        ]
        selection = select_models(candidates, constraints, objective=objective, k=k)
        return replace(selection, revision=revision)

    def _live_models(self) -> tuple[Revision, tuple[Model, ...]]:
        # The head is read first: what commits meanwhile makes the next selection read again.
        head = self._store.head()
        if self._kept is None or self._kept[0] != head:
            self._kept = (head, tuple(self._read()))
        return self._kept

    def _read(self) -> Iterator[Model]:
        entries = self._store.iter_entries(kind=EntryKind.MODEL, live=True)
        return (entry for entry in entries if isinstance(entry, Model))


def _relevance(index: SearchIndex, task: str, count: int) -> Mapping[EntryId, float]:
    if not count:
        return {}
    from toolcrib_embeddings.roster import Scope  # noqa: PLC0415  # slow

    hits = index.search(task, k=count, scope=Scope.of(kinds=[EntryKind.MODEL])).hits
    return {hit.id: hit.score for hit in hits}


def _check(task: str, k: int) -> None:
    if not task.strip():
        raise InvalidInput(
            "The task is empty: say what the model is for, as you would to a person."
        )
    if not 1 <= k <= MAX_K:
        raise InvalidInput(f"k is {k}; it must be from 1 to {MAX_K}.")


def _cost(candidate: Candidate, constraints: Constraints) -> Known[float] | None:
    """Estimate what ranks by cost: the call, or a typical mix of a million tokens."""
    if constraints.tokens_in is not None or constraints.tokens_out is not None:
        return candidate.cost_usd(
            tokens_in=constraints.tokens_in or 0, tokens_out=constraints.tokens_out or 0
        )
    whole = _TYPICAL_TOKENS_IN + _TYPICAL_TOKENS_OUT
    return candidate.cost_usd(
        tokens_in=1_000_000 * _TYPICAL_TOKENS_IN // whole,
        tokens_out=1_000_000 * _TYPICAL_TOKENS_OUT // whole,
    )


def _rank(
    candidate: Candidate, objective: Objective, constraints: Constraints
) -> tuple[float | str, ...]:
    known_cost, context = _cost(candidate, constraints), candidate.context_tokens
    cost = known_cost.value if known_cost else float("inf")
    names = (candidate.model.name, candidate.provider or "")
    match objective:
        case Objective.RELEVANCE:
            return (-candidate.relevance, cost, *names)
        case Objective.COST:
            return (cost, -candidate.relevance, *names)
        case Objective.CONTEXT:
            return (-context.value if context else 1, -candidate.relevance, cost, *names)


def _choices(
    ranked: Iterable[Candidate], objective: Objective, constraints: Constraints
) -> Iterator[Choice]:
    by_model: dict[str, list[Candidate]] = {}
    for candidate in ranked:
        by_model.setdefault(candidate.model.name, []).append(candidate)
    for best, *others in by_model.values():
        yield Choice(
            candidate=best,
            reasons=tuple(_reasons(best, len(others), objective, constraints)),
            alternatives=tuple(others),
        )


def _reasons(
    best: Candidate, others: int, objective: Objective, constraints: Constraints
) -> Iterator[str]:
    yield f"Ranked by {objective}; relevance {best.relevance:.3f}."
    if not constraints.is_empty:
        yield "Meets every limit."
    yield _cost_reason(best, constraints)
    if others:
        yield f"Ranks before {others} other offer{'s' if others > 1 else ''} of the same model."
    if best.offer and best.offer.status:
        status = best.offer.status
        yield f"Its status is {status.value} ({status.source}, {status.as_of})."


def _cost_reason(best: Candidate, constraints: Constraints) -> str:
    cost = _cost(best, constraints)
    if cost is None:
        return "Its price is unknown."
    sent, received = constraints.tokens_in, constraints.tokens_out
    if sent is not None or received is not None:
        size = f"a call of {sent or 0} tokens in and {received or 0} out"
    else:
        size = "a million tokens, three in to one out"
    return f"Costs {cost.value:g} USD for {size} ({cost.source}, {cost.as_of})."


def _notes(
    selection: Selection, candidates: Sequence[Candidate], constraints: Constraints
) -> Iterator[str]:
    yield from constraints.contradictions()
    if not candidates:
        yield "No model is registered and enabled."
    elif constraints.is_empty:
        yield "No limit was set: every model that is registered and enabled was ranked."
    elif not selection.passed:
        fields = ", ".join(f"{field} ({n})" for field, n in selection.excluded_by.items())
        models = count_models(candidates)
        yield (
            f"No offer meets every limit: {len(candidates)} offers of {models} models were "
            f"excluded, by {fields}."
        )
    tightest = _alone(selection.exclusions)
    if not selection.passed and tightest:
        field, count = tightest
        yield f"Without the limit on {field}, {count} of them would have passed."


def _alone(exclusions: Iterable[Exclusion]) -> tuple[str, int] | None:
    """Find the field that alone excludes the most candidates."""
    alone = Counter(
        next(iter(fields))
        for exclusion in exclusions
        if len(fields := {v.field for v in exclusion.violations}) == 1
    )
    return alone.most_common(1)[0] if alone else None
