"""Climbs a cascade: asks a small model, checks its answer, and asks a larger one if it must.

FrugalGPT (Chen et al., arXiv 2305.05176, section 3): a chain of models by cost, and a score that
decides at each whether to go on. Every call goes through the one way out for models.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import anyio

from toolcrib_registry.errors import BudgetExceeded, InvalidInput, ToolcribError
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.bodies.answer import text_of
from toolcrib_server.invocation.bodies.request import needs_of, task_of
from toolcrib_server.invocation.figures.measured import Measured
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.order import Answered, ModelOrder, Pick
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.selection.constraint import Constraints

from .calibration import Threshold
from .checks import Checked, Checker
from .plan import CascadePlan
from .verdicts import Verdict, score_of

logger = logging.getLogger(__name__)

Record = Callable[[str, str, Sequence["Step"]], Awaitable[None]]
"""Takes note of what checks said: (principal, task, steps)."""
FindThreshold = Callable[[str], Awaitable[Threshold]]
"""Finds the calibrated threshold for a principal."""
Dress = Callable[[Sequence[Pick], JsonObject], JsonObject]
"""Puts before a model what helps it with a request; the request itself is what is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One model's turn. Without an answer it failed; ``error`` says how."""

    model: str
    answered: Answered | None = None
    verdicts: tuple[Verdict, ...] = ()
    accepted: bool = False
    error: ToolcribError | None = None

    @property
    def score(self) -> float | None:
        """What the checks say together; None where there was no answer."""
        return None if self.answered is None else score_of(self.verdicts)

    @property
    def spent(self) -> tuple[Measured, ...]:
        """Every call that it took, those of the checks included."""
        own = () if self.answered is None else (self.answered.measured,)
        return (*own, *(each for verdict in self.verdicts for each in verdict.spent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbed:
    """The answer that was accepted, or else the one of the highest score; and the way there."""

    answered: Answered
    steps: tuple[Step, ...]
    accepted: bool
    threshold: Threshold

    @property
    def cost_usd(self) -> float | None:
        """What all of it cost; None when the cost of a part is unknown."""
        costs = [each.cost_usd for step in self.steps for each in step.spent]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one model is asked, within which limits, and until when."""

    order: ModelOrder
    """As the model is asked, with what was put before the question."""
    asked: JsonObject
    """As the caller asked."""
    constraints: Constraints
    deadline: float


class Cascade:
    """Answers requests by climbing."""

    def __init__(
        self,
        picker: ModelPicker,
        invoker: ModelInvoker,
        checker: Checker,
        *,
        find_threshold: FindThreshold,
        record: Record,
    ) -> None:
        self._picker = picker
        self._invoker = invoker
        self._checker = checker
        self._find_threshold = find_threshold
        self._record = record

    @property
    def commands(self) -> frozenset[str]:
        """The names of the programs that a plan may check with."""
        return self._checker.commands

    async def climb(
        self,
        order: ModelOrder,
        plan: CascadePlan,
        *,
        constraints: Constraints,
        dress: Dress | None = None,
    ) -> Climbed:
        """Answer. The picks of ``order`` are the ranked offers; `CascadePlan.models` replace them.

        The last answer is not thrown away when no check accepts it: the best is given, and said
        not to be accepted.

        Raises:
            ToolcribError: No model answered; the error is that of the first.
            InvalidInput: There is only one model, and so nothing to climb.
        """
        threshold = await self._threshold(order.principal, plan)
        steps: list[Step] = []
        deadline = _deadline(order)
        for picks in await self._ladder(order, plan, constraints):
            body = order.body if dress is None else dress(picks, order.body)
            asked = replace(order, picks=picks, body=body)
            turn = _Turn(asked, order.body, constraints, deadline)
            step = await self._take(turn, plan, threshold)
            steps.append(step)
            is_over = anyio.current_time() >= deadline or isinstance(step.error, BudgetExceeded)
            if step.accepted or is_over:
                break
        await self._note(order, steps)
        best = _best(steps)
        return Climbed(
            answered=best, steps=tuple(steps), accepted=steps[-1].accepted, threshold=threshold
        )

    async def _threshold(self, principal: str, plan: CascadePlan) -> Threshold:
        if plan.accept is not None:
            return Threshold(plan.accept, "as asked")
        if all(spec.kind.is_certain for spec in plan.checks):
            return Threshold(1.0, "every check is certain")
        return await self._find_threshold(principal)

    async def _ladder(
        self, order: ModelOrder, plan: CascadePlan, constraints: Constraints
    ) -> list[tuple[Pick, ...]]:
        """List the offers of each model to ask, the smallest first."""
        if plan.models:
            pick = partial(self._picker.pick, constraints=constraints, principal=order.principal)
            return [await pick(name, order.body) for name in plan.models]
        ladder = by_cost(order, plan.max_steps)
        if len(ladder) < 2:  # noqa: PLR2004  # a way up needs a second model
            raise InvalidInput(
                "A cascade needs at least two models: ask for 'auto' with two that can be called "
                "and whose prices are known, or name them in cascade.models."
            )
        return ladder

    async def _take(self, turn: _Turn, plan: CascadePlan, threshold: Threshold) -> Step:
        name = turn.order.picks[0].candidate.model.name
        try:
            answered = await self._invoker.chat(_within(turn.order, turn.deadline))
        except ToolcribError as error:
            return Step(model=name, error=error)
        verdicts = await self._check(turn, plan, answered, threshold)
        accepted = score_of(verdicts) >= threshold.score
        return Step(model=name, answered=answered, verdicts=verdicts, accepted=accepted)

    async def _check(
        self, turn: _Turn, plan: CascadePlan, answered: Answered, threshold: Threshold
    ) -> tuple[Verdict, ...]:
        """Make the checks in order; one that rejects spares the dearer ones."""
        same = replace(turn.order, picks=(answered.pick,))
        answer = Checked(
            body=turn.asked,
            text=text_of(answered.answer),
            again=partial(self._again, same, turn.deadline),
            named=partial(self._named, turn),
        )
        verdicts: list[Verdict] = []
        for spec in plan.checks:
            verdicts.append(await self._checker.check(spec, answer))
            if verdicts[-1].score < threshold.score:
                break
        return tuple(verdicts)

    async def _again(self, order: ModelOrder, deadline: float, changes: JsonObject) -> Answered:
        body = {**order.body, **changes}
        kept = {name: value for name, value in body.items() if value is not None}
        return await self._invoker.chat(_within(replace(order, body=kept), deadline))

    async def _named(self, turn: _Turn, name: str, body: JsonObject) -> Answered:
        """Ask a judge; it reads question and answer, so the limits hold for it too."""
        principal = turn.order.principal
        picks = await self._picker.pick(
            name, body, constraints=turn.constraints, principal=principal
        )
        asked = replace(turn.order, picks=picks, body=body)
        return await self._invoker.chat(_within(asked, turn.deadline))

    async def _note(self, order: ModelOrder, steps: Sequence[Step]) -> None:
        try:
            await self._record(order.principal, task_of(order.body), steps)
        except ToolcribError as error:
            logger.info("What the checks said was not recorded: %s", error.detail)


def by_cost(order: ModelOrder, max_steps: int) -> list[tuple[Pick, ...]]:
    """Order ranked models by what the request costs; the best ranked is the last.

    Those that cost as much as the best or more are left out, and those of unknown cost.
    """
    needs = needs_of(order.body)
    groups = [tuple(g) for _, g in groupby(order.picks, key=lambda p: p.candidate.model.name)]

    def cost(picks: tuple[Pick, ...]) -> float | None:
        known = picks[0].candidate.cost_usd(
            tokens_in=needs.tokens_in, tokens_out=needs.expected_out
        )
        return None if known is None else known.value

    if not groups:
        return []
    best, most = groups[0], cost(groups[0])
    priced = [(value, g) for g in groups[1:] if (value := cost(g)) is not None]
    cheaper = [pair for pair in priced if most is None or pair[0] < most]
    rising = [group for _, group in sorted(cheaper, key=lambda pair: pair[0])]
    return [*rising[: max_steps - 1], best]


def _deadline(order: ModelOrder) -> float:
    """Say when the whole climb ends. A timeout that makes no sense is refused by who calls."""
    timeout_s = order.timeout_s
    return math.inf if timeout_s is None else anyio.current_time() + max(timeout_s, 0.0)


def _within(order: ModelOrder, deadline: float) -> ModelOrder:
    """Leave a call what is left of the climb's time; at least an instant, to time out by itself."""
    if order.timeout_s is None or not order.timeout_s > 0:
        return order
    return replace(order, timeout_s=max(deadline - anyio.current_time(), 0.001))


def _best(steps: Sequence[Step]) -> Answered:
    answers = [step for step in steps if step.answered is not None]
    if not answers:
        error = steps[0].error
        assert error is not None
        raise error
    if answers[-1].accepted:
        best = answers[-1]
    else:
        # Of equals the larger model's.
        best = max(reversed(answers), key=lambda step: step.score or 0.0)
    assert best.answered is not None
    return best.answered
