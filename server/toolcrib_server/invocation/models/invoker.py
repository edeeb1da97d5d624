"""Calls models: limit, send, fall back, measure, record. No face has a path of its own.

Goes through the offers it is given, best first, until one answers or the first token has come;
knows nothing of how they were ranked, and keeps nothing of what was said.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from toolcrib_registry.errors import RequestRefused
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.bodies.answer import all_text_of
from toolcrib_server.invocation.bodies.request import Needs, estimate_tokens, needs_of
from toolcrib_server.invocation.errands.deadline import Deadline
from toolcrib_server.invocation.figures.rolling import OfferFigures
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.usage import Usage, read_usage

from .asking import Asking
from .destinations import Destinations, Resolve
from .flow import ModelFlow
from .order import Answered, Failed, ModelOrder
from .spending import Budgets
from .turns import Turn, Turns, believed_usage

T = TypeVar("T")

_OPTIONS = "stream_options"


class ModelInvoker:
    """The one way out for calls of models."""

    def __init__(
        self,
        client: ModelClient,
        local: LocalServers,
        resolve: Resolve,
        *,
        audit: AuditLog,
        figures: OfferFigures,
        budgets: Budgets,
        breakers: Breakers,
    ) -> None:
        self._client = client
        self._destinations = Destinations(local, resolve)
        self._turns = Turns(audit=audit, figures=figures, budgets=budgets, breakers=breakers)
        self._breakers = breakers
        self._plain: set[str] = set()
        """Offers that take no ``stream_options``."""

    async def chat(self, order: ModelOrder) -> Answered:
        """Ask for a whole answer.

        Raises:
            UpstreamError: No offer answered; the error is that of the best.
            BudgetExceeded: The key has spent what it may.
            NotCallable: None of them can be called as it is registered.
        """

        async def ask(turn: Turn) -> JsonObject:
            async with self._destinations.of(turn) as target:
                body = {**order.body, "model": target.model}
                return await self._client.chat(target, body, timeout_s=turn.timeout_s)

        return await self._answer(order, await aside(needs_of, order.body), ask)

    async def embed(self, order: ModelOrder) -> Answered:
        """Ask for the vectors of texts. Give it the offers of one model only.

        Raises:
            ToolcribError: As `chat`.
        """

        async def ask(turn: Turn) -> JsonObject:
            async with self._destinations.of(turn) as target:
                body = {**order.body, "model": target.model}
                return await self._client.embed(target, body, timeout_s=turn.timeout_s)

        needs = Needs(tokens_in=estimate_tokens(str(order.body.get("input"))), tokens_out=0)
        return await self._answer(order, needs, ask)

    @asynccontextmanager
    async def stream(self, order: ModelOrder) -> AsyncGenerator[ModelFlow]:
        """Ask for an answer in chunks; entered when the first token is there.

        Enter and leave it in one task; leaving early ends the answer at the provider.

        Raises:
            ToolcribError: As `chat`; after the first token no other offer is tried.
        """
        async with AsyncExitStack() as stack:

            async def begin(turn: Turn) -> ModelFlow:
                async with AsyncExitStack() as opened:
                    flow = await self._begin(opened, turn, asking.failed)
                    stack.push_async_exit(opened.pop_all())
                return flow

            asking = self._asking(order, await aside(needs_of, order.body), begin)
            flow, turn = await asking.run()
            try:
                yield flow
            finally:
                usage, estimated = flow.usage()
                flow.measured = await self._turns.close(
                    turn, flow.outcome, usage, estimated=estimated
                )
                self._turns.judge(turn, flow.error)

    async def _begin(
        self, stack: AsyncExitStack, turn: Turn, failed: Sequence[Failed]
    ) -> ModelFlow:
        target = await stack.enter_async_context(self._destinations.of(turn))
        body = {**turn.order.body, "model": target.model, "stream": True}
        asks = _OPTIONS not in body and turn.key not in self._plain
        if asks:
            body[_OPTIONS] = {"include_usage": True}
        try:
            opening = self._client.stream(target, body, timeout_s=turn.timeout_s)
            stream = await stack.enter_async_context(opening)
        except RequestRefused as error:
            if not asks or _OPTIONS not in error.detail:
                raise
            self._plain.add(turn.key)
            return await self._begin(stack, turn, failed)
        flow = ModelFlow(turn, stream, hides_usage=asks, failed=failed)
        await flow.begin()
        return flow

    async def _answer(
        self, order: ModelOrder, needs: Needs, ask: Callable[[Turn], Awaitable[JsonObject]]
    ) -> Answered:
        asking = self._asking(order, needs, ask)
        answer, turn = await asking.run()
        guessed = Usage(needs.tokens_in, estimate_tokens(all_text_of(answer)))
        usage, estimated = believed_usage(read_usage(answer), guessed, turn.pick.candidate)
        measured = await self._turns.close(turn, "ok", usage, estimated=estimated)
        self._turns.judge(turn, None)
        return Answered(
            pick=turn.pick, answer=answer, failed=tuple(asking.failed), measured=measured
        )

    def _asking(
        self, order: ModelOrder, needs: Needs, send: Callable[[Turn], Awaitable[T]]
    ) -> Asking[T]:
        return Asking(
            order,
            needs,
            send,
            turns=self._turns,
            breakers=self._breakers,
            deadline=Deadline(order.timeout_s, longest_s=self._client.limits.timeout_s),
        )
