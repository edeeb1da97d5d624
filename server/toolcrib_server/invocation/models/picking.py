"""From ``auto``, or a model's name, to the offers that may answer a request, best first.

Knows names, needs and limits; ranks nothing itself: a chooser does. Calls nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio.to_thread

from toolcrib_registry.errors import (
    ContextTooLong,
    InvalidInput,
    NoModelFits,
    NotCallable,
    NotFound,
)
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, Model
from toolcrib_server.invocation.bodies.request import Needs, needs_of, task_of
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.selection.candidate import Candidate, candidates_of
from toolcrib_server.selection.constraint import Constraints, limits_of, violations_of
from toolcrib_server.selection.length import Length
from toolcrib_server.selection.measured import SURELY_FAILS, Measuring, Unmeasured, key_of
from toolcrib_server.selection.models import NO_LIMITS, Objective, Selection

AUTO = "auto"
_ALIASES = {
    "best": Objective.RELEVANCE,
    "cheapest": Objective.COST,
    "longest": Objective.CONTEXT,
    "fastest": Objective.LATENCY,
}
_RANKED = 8
"""Models that are ranked: more are never tried for one request."""
_ANY_CONTEXT_TOKENS = 4_096
"""A request of this length is taken to fit a model whose context is unknown."""
_SHOWN = 3


class Chooser(Protocol):
    """Ranks models for a task."""

    async def select(
        self,
        task: str,
        *,
        constraints: Constraints = NO_LIMITS,
        objective: Objective = Objective.RELEVANCE,
        k: int = 5,
        callable_only: bool = False,
        principal: str = "local",
        length: Length | None = None,
    ) -> Selection:
        """Rank the ``k`` models that suit the task best among those that meet every limit.

        ``length`` is of the call that follows.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pick:
    """An offer that may answer, and why it stands where it does."""

    candidate: Candidate
    reasons: tuple[str, ...]


class ModelPicker:
    """Finds who may answer a request."""

    def __init__(
        self, store: Store, chooser: Chooser, *, measuring: Measuring | None = None
    ) -> None:
        """``measuring`` tells what calls of the offers measured."""
        self._store = store
        self._chooser = chooser
        self._measuring: Measuring = measuring or Unmeasured()

    async def pick(
        self,
        asked: str,
        body: JsonObject,
        *,
        constraints: Constraints = NO_LIMITS,
        objective: Objective | None = None,
        principal: str = "local",
    ) -> tuple[Pick, ...]:
        """Rank those who may answer a chat request, best first; never empty.

        ``asked`` is ``auto``, ``auto:OBJECTIVE``, a model's name, or ``NAME@PROVIDER``.

        Raises:
            NotFound: No such model; near names are offered.
            NotCallable: The model is off, or nobody serves it.
            NoModelFits: No offer that can be called meets the limits, or what the request needs.
            ContextTooLong: The request is longer than any of them takes.
            InvalidInput: The objective is none, or a limit makes no sense.
        """
        needs = await aside(needs_of, body)
        needs.size(constraints).check()
        if is_auto(asked):
            wanted = objective_of(asked, objective)
            limits = needs.limit(constraints)
            picks = await self._choose(
                await aside(task_of, body), limits, wanted, principal=principal, length=needs.length
            )
        else:
            named = await self.find(asked)
            picks = _fitting(asked, named, needs.size(constraints), needs)
        # Who names a model knows better than we what is unknown to us.
        return _long_enough(picks, needs, unknown_passes=not is_auto(asked))

    async def pick_named(
        self, asked: str, *, constraints: Constraints = NO_LIMITS
    ) -> tuple[Pick, ...]:
        """Find the offers of one model that meet every limit, where the request is no chat.

        Raises:
            NotFound: No such model; near names are offered.
            NotCallable: The model is off, or nobody serves it.
            NoModelFits: None of its offers meets the limits.
        """
        constraints.check()
        return _fitting(asked, await self.find(asked), constraints, Needs())

    async def find(self, asked: str) -> tuple[Candidate, ...]:
        """Find the offers of a model that can be called, in their order; what fails comes last.

        Raises:
            NotFound: No such model; near names are offered.
            NotCallable: The model is off, or nobody serves it.
        """
        await self._measuring.ready()
        return await anyio.to_thread.run_sync(self._find, asked)

    async def _choose(
        self,
        task: str,
        limits: Constraints,
        objective: Objective,
        *,
        principal: str,
        length: Length,
    ) -> tuple[Pick, ...]:
        selection = await self._chooser.select(
            task,
            constraints=limits,
            objective=objective,
            k=_RANKED,
            callable_only=True,
            principal=principal,
            length=length,
        )
        if not selection.choices:
            raise _nothing_fits(selection)
        return tuple(
            Pick(candidate, choice.reasons)
            for choice in selection.choices
            for candidate in (choice.candidate, *choice.alternatives)
        )

    def _find(self, asked: str) -> tuple[Candidate, ...]:
        model, provider = self._read(asked)
        if not model.enabled:
            raise NotCallable(f"The model {model.name!r} is disabled.")
        served = self._served(model)
        if not served:
            raise NotCallable(
                f"The model {model.name!r} cannot be called: it is known, but no endpoint is "
                "registered for it. Register one: an offer with an endpoint or a launch command."
            )
        if provider is None:
            return served
        theirs = tuple(c for c in served if c.provider == provider)
        if not theirs:
            near = tuple(f"{model.name}@{c.provider}" for c in served[:_SHOWN])
            raise NotFound("model", asked, near=near)
        return theirs

    def _served(self, model: Model) -> tuple[Candidate, ...]:
        """Give the offers that can be called, with their figures: first those that do not fail."""
        found = self._measuring.current()
        candidates = (
            replace(c, figures=found.find(key_of(model.name, c.offer)))
            for c in candidates_of(model)
            if c.callable
        )
        return tuple(sorted(candidates, key=_surely_fails))

    def _read(self, asked: str) -> tuple[Model, str | None]:
        found = self._store.find_entry(EntryKind.MODEL, asked)
        if isinstance(found, Model):
            return found, None
        name, at, provider = asked.rpartition("@")
        found = self._store.find_entry(EntryKind.MODEL, name) if at else None
        if isinstance(found, Model):
            return found, provider
        raise NotFound("model", asked, near=self._store.near_names(EntryKind.MODEL, asked))


def _surely_fails(candidate: Candidate) -> bool:
    figures = candidate.figures
    return figures is not None and figures.surely_failing > SURELY_FAILS


def is_auto(asked: str) -> bool:
    """Whether the choice is left to us."""
    return asked == AUTO or asked.startswith(f"{AUTO}:")


def objective_of(asked: str, given: Objective | None) -> Objective:
    """Read the objective of ``auto:OBJECTIVE``, unless one was given besides.

    Raises:
        InvalidInput: There is no such objective, or two that differ.
    """
    word = asked.partition(":")[2]
    if not word:
        return given or Objective.RELEVANCE
    named = read_objective(word)
    if given is not None and given is not named:
        raise InvalidInput(
            f"The model says {asked!r}, the objective {given.value!r}: make them one."
        )
    return named


def read_objective(word: str) -> Objective:
    """Read an objective by its name or a common word for it.

    Raises:
        InvalidInput: There is no such objective.
    """
    try:
        return _ALIASES.get(word) or Objective(word)
    except ValueError:
        known = ", ".join([*(o.value for o in Objective), *_ALIASES])
        raise InvalidInput(f"There is no objective {word[:40]!r}. Use one of {known}.") from None


def _fitting(
    asked: str, named: Sequence[Candidate], constraints: Constraints, needs: Needs
) -> tuple[Pick, ...]:
    """Keep the offers that meet the caller's limits and are not known to lack what is needed."""
    limits = limits_of(constraints)
    required = limits_of(Constraints(abilities=needs.abilities, modalities_in=needs.modalities_in))
    picks: list[Pick] = []
    failed: list[str] = []
    for candidate in named:
        violations = violations_of(candidate, limits)
        lacking = (v for v in violations_of(candidate, required) if v.value is not None)
        if said := "; ".join(map(str, (*violations, *lacking))):
            failed.append(f"{candidate.label}: {said}")
        else:
            picks.append(Pick(candidate, tuple(_named_reasons(asked, candidate))))
    if not picks:
        notes = [f"The model {asked!r} cannot answer this.", *constraints.contradictions()]
        raise NoModelFits(" ".join([*notes, _some(failed)]))
    return tuple(picks)


def _named_reasons(asked: str, candidate: Candidate) -> Iterator[str]:
    yield f"{asked} was asked for by name."
    figures = candidate.figures
    if figures is not None and _surely_fails(candidate):
        yield f"Asked last: {figures.error_rate:.0%} of its calls failed ({figures.ground})."


def _long_enough(picks: Sequence[Pick], needs: Needs, *, unknown_passes: bool) -> tuple[Pick, ...]:
    """Keep what the request fits into; its length is an estimate from below."""
    length = needs.least_tokens_in + (needs.tokens_out or 0)
    unknown_takes = math.inf if unknown_passes else _ANY_CONTEXT_TOKENS
    kept = tuple(pick for pick in picks if _takes(pick.candidate, length, unknown_takes))
    if kept:
        return kept
    known = [(k.value, p.candidate) for p in picks if (k := p.candidate.context_tokens)]
    asked = f"The request has at least {needs.least_tokens_in} tokens"
    if needs.tokens_out:
        asked += f" and allows {needs.tokens_out} for the answer"
    if not known:
        unknown = picks[0].candidate
        raise ContextTooLong(
            unknown.provider or "",
            f"{asked}; the context of {unknown.label} is unknown. Register its contextTokens, or "
            "name the model.",
        )
    longest, candidate = max(known, key=lambda pair: pair[0])
    raise ContextTooLong(
        candidate.provider or "",
        f"{asked}; the longest context among {len(picks)} that could answer is {longest} tokens "
        f"({candidate.label}). Shorten the request, or register a model with a longer context.",
    )


def _takes(candidate: Candidate, length: int, unknown_takes: float) -> bool:
    context = candidate.context_tokens
    return length <= (context.value if context else unknown_takes)


def _nothing_fits(selection: Selection) -> NoModelFits:
    if not selection.considered:
        return NoModelFits(
            "No model that can be called is registered: register one with an endpoint or a launch "
            "command, by 'toolcrib import FILE' or POST /api/v1/models."
        )
    excluded = [str(exclusion) for exclusion in selection.exclusions]
    said = ["No model that can be called meets every limit.", *selection.notes, _some(excluded)]
    return NoModelFits(" ".join(said))


def _some(reasons: Sequence[str]) -> str:
    more = len(reasons) - _SHOWN
    said = " ".join(f"{reason.rstrip('.')}." for reason in reasons[:_SHOWN])
    return said + (f" {more} more were excluded too." if more > 0 else "")
