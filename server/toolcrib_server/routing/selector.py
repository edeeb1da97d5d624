"""Selection of models as the faces ask for it: hard limits, then what past outcomes let expect.

Where nothing was learned, or another objective is asked for, it is the plain selection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.length import Length
from toolcrib_server.selection.models import (
    NO_LIMITS,
    ModelSelector,
    Objective,
    Selection,
    check_question,
)

from .exploring import Explorer
from .learner import RoutingLearner
from .weights import PLAIN, Weights

if TYPE_CHECKING:
    from toolcrib_embeddings import SearchIndex
    from toolcrib_server.selection.forecast import ModelForecasts
    from toolcrib_server.selection.routing.router import Routing
    from toolcrib_server.selection.routing.usage import Forecasts

    from .library import OnProgress
    from .policy import Policy

_AT_ONCE: Final = 512
_LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class _Advisor:
    """One principal's policy, asked for one selection."""

    policy: Policy
    weights: Weights
    explorer: Explorer | None

    def advise(
        self, index: SearchIndex, task: str, allowed: Collection[str], forecasts: Forecasts
    ) -> Routing | None:
        """Choose among the allowed."""
        from .library import encode  # noqa: PLC0415  # slow

        vectors = encode(index.encoder, [task])
        (routing,) = self.policy.decide(
            [task], vectors, weights=self.weights, allowed=allowed, forecasts=forecasts
        )
        if self.explorer is None:
            return routing
        return replace(routing, choice=self.explorer.explore(routing.choice))


class RoutedSelector:
    """Selects among the live models of the registry, by what was learned for whoever asks."""

    def __init__(
        self,
        models: ModelSelector,
        learner: RoutingLearner,
        index: Callable[[], Awaitable[SearchIndex]],
        *,
        explore_share: float = 0.0,
    ) -> None:
        self._models = models
        self._learner = learner
        self._index = index
        self.explorer = Explorer(explore_share)
        self._limiter = anyio.CapacityLimiter(1)

    async def select(
        self,
        task: str,
        *,
        constraints: Constraints = NO_LIMITS,
        objective: Objective = Objective.RELEVANCE,
        k: int = 5,
        callable_only: bool = False,
        principal: str = _LOCAL,
        weights: Weights = PLAIN,
        length: Length | None = None,
    ) -> Selection:
        """Rank the ``k`` models that suit ``task`` best among those that meet every limit.

        ``callable_only`` leaves out, unmentioned, offers at which nothing can be called; then a
        call is expected to follow, and within its budget another model may be tried. ``length`` is
        of that call, where it is known.

        Raises:
            InvalidInput: The task is blank, ``k`` is out of range or a limit makes no sense.
        """
        weights.check()
        _check_objective(objective, weights)
        check_question(task, k)
        policy, lacking = await self._learned(objective, principal)
        explorer = self.explorer if callable_only else None
        selection = await self._models.select(
            task,
            constraints=constraints,
            objective=objective,
            k=k,
            callable_only=callable_only,
            guide=_Advisor(policy, weights, explorer) if policy else None,
            length=length,
            prefer=None if weights.is_plain else weights.prefer,
        )
        notes = (*selection.notes, *_notes(selection, policy, weights))
        if lacking is None:
            return replace(selection, notes=notes)
        choices = selection.choices
        if callable_only:
            # Whoever calls passes the reasons of a choice on, and no notes.
            choices = tuple(replace(one, reasons=(*one.reasons, lacking)) for one in choices)
        return replace(selection, choices=choices, notes=(*notes, lacking))

    async def _learned(
        self, objective: Objective, principal: str
    ) -> tuple[Policy | None, str | None]:
        """Give the policy to go by, and what is to be said where it should have been another."""
        if objective is not Objective.RELEVANCE:
            return None, None
        await self._index()  # nothing can be learned, or chosen, before it is open
        reason = await self._learner.taken_up(principal)
        lacking = reason and f"Chosen without what was learned from past outcomes: {reason}"
        return self._learner.policy(principal), lacking

    async def select_many(
        self,
        tasks: Sequence[str],
        *,
        constraints: Constraints = NO_LIMITS,
        principal: str = _LOCAL,
        weights: Weights = PLAIN,
        on_progress: OnProgress | None = None,
    ) -> tuple[Routing, ...]:
        """Route many tasks under the same limits, in their order; empty where nothing was learned.

        Raises:
            InvalidInput: A limit or weight makes no sense.
        """
        weights.check()
        policy = self._learner.policy(principal)
        if policy is None:
            return ()
        index = await self._index()
        forecasts = await self._models.forecasts(constraints)
        decide = partial(policy.decide, weights=weights)
        work = partial(self._route_many, index, decide, tasks, forecasts, on_progress)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _route_many(
        self,
        index: SearchIndex,
        decide: Callable[..., tuple[Routing, ...]],
        tasks: Sequence[str],
        forecasts: ModelForecasts,
        on_progress: OnProgress | None,
    ) -> tuple[Routing, ...]:
        from .library import encode  # noqa: PLC0415  # slow

        allowed = forecasts.models

        def show(done: int) -> None:
            if on_progress:
                on_progress(done, len(tasks))

        vectors = encode(index.encoder, tasks, on_progress=show)
        routed: list[Routing] = []
        for start in range(0, len(tasks), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            routed += decide(tasks[part], vectors[part], allowed=allowed, forecasts=forecasts)
        return tuple(routed)


def _check_objective(objective: Objective, weights: Weights) -> None:
    if objective is not Objective.RELEVANCE and not weights.is_plain:
        raise InvalidInput(
            f"The objective {objective.value} ranks by one thing alone: leave the weights and "
            "budgets out, or the objective."
        )


def _notes(selection: Selection, policy: Policy | None, weights: Weights) -> tuple[str, ...]:
    routing = selection.routing
    if routing is not None:
        said = [
            *([routing.domain.reason] if routing.domain else []),
            *routing.choice.reasons,
        ]
        if weights.default and routing.choice.default != weights.default and routing.choice.ranked:
            said.append(f"The default {weights.default} is not among those that can be chosen.")
        return tuple(said)
    if policy is None and not weights.is_plain:
        said = "relevance stands for quality among the weights, and a default decides nothing yet"
        return (f"No outcomes are in use: {said}.",)
    return ()
