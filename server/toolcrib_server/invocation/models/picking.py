"""From ``auto``, or a model's name, to the offers that may answer a request, best first.

Knows names, needs and limits; ranks nothing itself: a chooser does. Calls nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import anyio.to_thread

from toolcrib_registry.errors import NotCallable, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, JsonObject, Model
from toolcrib_server.invocation.bodies.request import Needs, needs_of, task_of
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.selection.candidate import Candidate, candidates_of
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.length import Length
from toolcrib_server.selection.measured import Measuring, Unmeasured, key_of
from toolcrib_server.selection.models import NO_LIMITS, Objective, Selection

from .fitting import MOST_SHOWN, fitting, long_enough, nothing_fits, surely_fails
from .objectives import is_auto, objective_of
from .order import Pick

_RANKED = 8
"""Models that are ranked: more are never tried for one request."""


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
            picks = fitting(asked, named, needs.size(constraints), needs)
        # Who names a model knows better than we what is unknown to us.
        return long_enough(picks, needs, unknown_passes=not is_auto(asked))

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
        return fitting(asked, await self.find(asked), constraints, Needs())

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
            raise nothing_fits(selection)
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
            near = tuple(f"{model.name}@{c.provider}" for c in served[:MOST_SHOWN])
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
        return tuple(sorted(candidates, key=surely_fails))

    def _read(self, asked: str) -> tuple[Model, str | None]:
        found = self._store.find_entry(EntryKind.MODEL, asked)
        if isinstance(found, Model):
            return found, None
        name, at, provider = asked.rpartition("@")
        found = self._store.find_entry(EntryKind.MODEL, name) if at else None
        if isinstance(found, Model):
            return found, provider
        raise NotFound("model", asked, near=self._store.near_names(EntryKind.MODEL, asked))
