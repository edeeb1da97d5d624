"""Puts a model to the test: asks, checks, and remembers what came of it as outcomes.

Every call goes through the one way out for models, permitted, budgeted and audited like any other.
A call that fails says nothing of the model's aptitude, and is no outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import BudgetExceeded, InvalidInput, RequestRefused, ToolcribError
from toolcrib_registry.types import JsonObject, RatingSource
from toolcrib_server.cascade.checks import check_pattern, check_schema
from toolcrib_server.cascade.plan import CheckSpec
from toolcrib_server.cascade.verdicts import CheckKind, Verdict
from toolcrib_server.invocation.bodies.answer import text_of
from toolcrib_server.invocation.bodies.request import needs_of
from toolcrib_server.invocation.models.invoker import ModelInvoker
from toolcrib_server.invocation.models.objectives import is_auto
from toolcrib_server.invocation.models.order import Answered, ModelOrder, Pick
from toolcrib_server.invocation.models.picking import ModelPicker
from toolcrib_server.routing.desk import Recorded, RoutingDesk
from toolcrib_server.routing.rows import OutcomeRow

from .report import Report, Result
from .suite import Task

FACE: Final = "aptitude"
TIMEOUT_S: Final = 120.0
_AT_ONCE: Final = 2
_HOPELESS: Final = 4
"""Calls that failed before any was answered."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """A model, and what it will be asked."""

    model: str
    tasks: tuple[Task, ...]
    picks: tuple[Pick, ...]
    most_usd: float | None
    """What it may cost if every answer is as long as allowed; None: a price is unknown."""


@dataclass(slots=True)
class _Progress:
    """How a sitting goes."""

    results: dict[str, Result] = field(default_factory=dict[str, Result])
    stopped: str | None = None
    unwanted: set[str] = field(default_factory=set[str])
    """Parameters that the model refuses."""

    @property
    def is_hopeless(self) -> bool:
        """Whether there is no sense in asking on."""
        failed = sum(one.error is not None for one in self.results.values())
        return failed >= _HOPELESS and failed == len(self.results)


class Examiner:
    """Tests models. ``desk`` keeps what came of it."""

    def __init__(self, picker: ModelPicker, invoker: ModelInvoker, desk: RoutingDesk) -> None:
        self._picker = picker
        self._invoker = invoker
        self._desk = desk

    async def prepare(self, name: str, tasks: Sequence[Task], *, principal: str) -> Sitting:
        """Find the model, and say what a test may cost. Calls nothing.

        Raises:
            NotFound: No such model; near names are offered.
            NotCallable: Nobody serves it, or it is disabled.
            InvalidInput: It is ``auto``: a test is of one model.
        """
        if is_auto(name):
            raise InvalidInput(f"{name!r} is whatever fits best; a test is of one model: name it.")
        bodies = [_body(task, ()) for task in tasks]
        longest = max(bodies, key=_length)
        picks = await self._picker.pick(name, longest, principal=principal)
        candidate = picks[0].candidate
        costs: list[float] = []
        for body in bodies:
            needs = needs_of(body)
            cost = candidate.cost_usd(tokens_in=needs.tokens_in, tokens_out=needs.expected_out)
            costs += [] if cost is None else [cost.value]
        return Sitting(
            model=candidate.model.name,
            tasks=tuple(tasks),
            picks=picks,
            most_usd=sum(costs) if len(costs) == len(bodies) else None,
        )

    async def examine(
        self,
        sitting: Sitting,
        *,
        principal: str,
        timeout_s: float = TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Report:
        """Ask every question. What fails is in the report; stops where going on makes no sense."""
        state, limiter = _Progress(), anyio.CapacityLimiter(_AT_ONCE)

        async def sit(task: Task) -> None:
            async with limiter:
                result = await self._ask(sitting, task, state.unwanted, principal, timeout_s)
            state.results[task.id] = result
            if on_progress is not None:
                on_progress(len(state.results), len(sitting.tasks))
            if isinstance(result.error, BudgetExceeded):
                state.stopped = result.error.detail
            elif state.is_hopeless and result.error is not None:
                state.stopped = f"nothing is answered: {result.error.detail}"
            if state.stopped is not None:
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for task in sitting.tasks:
                tasks.start_soon(sit, task)
        those = tuple(state.results[t.id] for t in sitting.tasks if t.id in state.results)
        return Report(model=sitting.model, results=those, stopped=state.stopped)

    async def record(self, report: Report, *, principal: str, tenant: str) -> Recorded:
        """Keep what came of it as outcomes; of a second test the new ones take the old ones' place.

        Raises:
            NotPermitted: Outcomes are not kept here (``TOOLCRIB_ROUTING=off``).
        """
        rows = [
            OutcomeRow(
                where=result.task.id,
                query=result.task.prompt,
                model=report.model,
                score=float(bool(result.passed)),
                cost_usd=result.measured.cost_usd if result.measured else None,
                latency_ms=result.measured.duration_ms if result.measured else None,
            )
            for result in report.answered
        ]
        source = RatingSource.APTITUDE
        return await self._desk.record(
            rows, principal=principal, tenant=tenant, source=source, limited=False
        )

    async def _ask(
        self, sitting: Sitting, task: Task, unwanted: set[str], principal: str, timeout_s: float
    ) -> Result:
        order = ModelOrder(
            picks=sitting.picks,
            body=_body(task, unwanted),
            face=FACE,
            principal=principal,
            timeout_s=timeout_s,
        )
        try:
            answered = await self._adapting(order, task, unwanted)
        except ToolcribError as error:
            return Result(task=task, detail=error.detail, error=error)
        # A pattern may take its time.
        verdict = await anyio.to_thread.run_sync(check, task.checks, text_of(answered.answer))
        return Result(
            task=task,
            passed=verdict.score == 1.0,
            detail=verdict.detail,
            measured=answered.measured,
        )

    async def _adapting(self, order: ModelOrder, task: Task, unwanted: set[str]) -> Answered:
        """Ask; and once more without what the model says that it does not take."""
        try:
            return await self._invoker.chat(order)
        except RequestRefused as error:
            new = {name for name in ("temperature", "max_tokens") if name in error.detail}
            if not new:
                raise
            unwanted |= new
        return await self._invoker.chat(replace(order, body=_body(task, unwanted)))


def check(checks: Sequence[CheckSpec], text: str) -> Verdict:
    """Say whether an answer passes all checks; the verdict of the first that it does not."""
    verdicts: list[Verdict] = []
    for spec in checks:
        is_schema = spec.kind is CheckKind.JSON_SCHEMA
        verdicts.append((check_schema if is_schema else check_pattern)(spec, text))
        if verdicts[-1].score < 1.0:
            break
    return verdicts[-1]


def _length(body: JsonObject) -> int:
    needs = needs_of(body)
    return needs.tokens_in + needs.expected_out


def _body(task: Task, unwanted: set[str] | tuple[()]) -> JsonObject:
    """Make the request; with a longer name for the limit where the model wants that."""
    told = [] if task.system is None else [{"role": "system", "content": task.system}]
    messages: list[dict[str, Any]] = [*told, {"role": "user", "content": task.prompt}]
    most = "max_completion_tokens" if "max_tokens" in unwanted else "max_tokens"
    body: dict[str, Any] = {"messages": messages, most: task.max_tokens}
    return body if "temperature" in unwanted else body | {"temperature": 0}
