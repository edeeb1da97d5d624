"""Calls models: limit, send, fall back, measure, record. No face has a path of its own.

Goes through the offers it is given, best first, until one answers or the first token has come;
knows nothing of how they were ranked, and keeps nothing of what was said.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import anyio

from toolcrib_registry.errors import (
    InvalidInput,
    Peer,
    RequestRefused,
    ToolcribError,
    UpstreamTimeout,
)
from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.bodies.answer import all_text_of
from toolcrib_server.invocation.bodies.request import Needs, estimate_tokens, needs_of
from toolcrib_server.invocation.figures.figures import OfferFigures
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.jsonrpc.bulk import aside
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.usage import Usage, read_usage

from .destinations import Destinations, Resolve
from .fallback import next_may_answer, short_wait_s, tries_of
from .flow import ModelFlow
from .order import Answered, Failed, ModelOrder
from .picking import Pick
from .spending import Budgets
from .turns import Turn, Turns, believed_usage

logger = logging.getLogger(__name__)

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
            failed: list[Failed] = []

            async def begin(turn: Turn) -> ModelFlow:
                async with AsyncExitStack() as opened:
                    flow = await self._begin(opened, turn, failed)
                    stack.push_async_exit(opened.pop_all())
                return flow

            needs = await aside(needs_of, order.body)
            flow, turn = await self._first(order, needs, begin, failed)
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
        failed: list[Failed] = []
        answer, turn = await self._first(order, needs, ask, failed)
        guessed = Usage(needs.tokens_in, estimate_tokens(all_text_of(answer)))
        usage, estimated = believed_usage(read_usage(answer), guessed, turn.pick.candidate)
        measured = await self._turns.close(turn, "ok", usage, estimated=estimated)
        self._turns.judge(turn, None)
        return Answered(pick=turn.pick, answer=answer, failed=tuple(failed), measured=measured)

    # --- going through the offers --------------------------------------------------------------

    async def _first(
        self,
        order: ModelOrder,
        needs: Needs,
        ask: Callable[[Turn], Awaitable[T]],
        failed: list[Failed],
    ) -> tuple[T, Turn]:
        """Ask one offer after the other until one answers."""
        deadline = anyio.current_time() + self._timeout_s(order)
        tries = tries_of(order, self._breakers, failed)
        passed_over = len(failed)
        for number, pick in enumerate(tries):
            rest = tries[number + 1 :]
            try:
                return await self._ask(order, pick, needs, ask, deadline)
            except ToolcribError as error:
                failed.append(Failed(pick.candidate, error))
                logger.info("%s failed: %s", pick.candidate.label, error.detail)
                if not next_may_answer(error, pick, rest):
                    break
        return await self._once_more(order, needs, ask, failed[passed_over:], deadline)

    async def _once_more(
        self,
        order: ModelOrder,
        needs: Needs,
        ask: Callable[[Turn], Awaitable[T]],
        failed: Sequence[Failed],
        deadline: float,
    ) -> tuple[T, Turn]:
        """Where all have failed, wait for the one that asks for a short wait; then give up."""
        last = failed[-1]
        wait_s = short_wait_s(last.error)
        left_s = deadline - anyio.current_time()
        pick = next((p for p in order.picks if p.candidate is last.candidate), None)
        if pick is None or wait_s is None or wait_s >= left_s:
            raise failed[0].error
        await anyio.sleep(wait_s)
        return await self._ask(order, pick, needs, ask, deadline)

    async def _ask(
        self,
        order: ModelOrder,
        pick: Pick,
        needs: Needs,
        ask: Callable[[Turn], Awaitable[T]],
        deadline: float,
    ) -> tuple[T, Turn]:
        turn = await self._open(order, pick, needs, deadline)
        try:
            return await ask(turn), turn
        except ToolcribError as error:
            await self._turns.close(turn, error.code, Usage(0, 0), estimated=True)
            self._turns.judge(turn, error)
            raise
        except BaseException:
            # What was sent is paid for, also by who does not wait for the answer.
            sent = Usage(needs.tokens_in, 0)
            await self._turns.close(turn, "cancelled", sent, estimated=True)
            raise

    async def _open(self, order: ModelOrder, pick: Pick, needs: Needs, deadline: float) -> Turn:
        timeout_s = deadline - anyio.current_time()
        if timeout_s <= 0:
            provider = pick.candidate.provider or ""
            allowed_s = self._timeout_s(order)
            raise UpstreamTimeout(provider, "the request", allowed_s, peer=Peer.PROVIDER)
        return await self._turns.open(order, pick, needs, timeout_s=timeout_s)

    def _timeout_s(self, order: ModelOrder) -> float:
        most = self._client.limits.timeout_s
        if order.timeout_s is None:
            return most
        if not order.timeout_s > 0:
            raise InvalidInput(f"The timeout is {order.timeout_s:g} s; it must be more than 0.")
        return min(order.timeout_s, most)
