"""Asks one offer after the other until one answers, all within one deadline.

Each has its turn, which is closed whatever came of it. Knows not what is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from toolcrib_registry.errors import Peer, ToolcribError, UpstreamTimeout
from toolcrib_server.invocation.bodies.request import Needs
from toolcrib_server.invocation.errands.deadline import Deadline
from toolcrib_server.invocation.traffic.breakers import Breakers
from toolcrib_server.upstream.models.usage import Usage

from .fallback import next_may_answer, short_wait_s, tries_of
from .order import Failed, ModelOrder, Pick
from .turns import Turn, Turns

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Asking(Generic[T]):
    """One order on its way through its offers; ``send`` asks the one whose turn it is."""

    def __init__(
        self,
        order: ModelOrder,
        needs: Needs,
        send: Callable[[Turn], Awaitable[T]],
        *,
        turns: Turns,
        breakers: Breakers,
        deadline: Deadline,
    ) -> None:
        self._order = order
        self._needs = needs
        self._send = send
        self._turns = turns
        self._breakers = breakers
        self._deadline = deadline
        self.failed: list[Failed] = []
        """Who was passed over, or asked in vain, so far."""

    async def run(self) -> tuple[T, Turn]:
        """Ask until one answers; its turn is open still.

        Raises:
            ToolcribError: None did; the error is that of the best.
        """
        tries = tries_of(self._order, self._breakers, self.failed)
        passed_over = len(self.failed)
        for number, pick in enumerate(tries):
            try:
                return await self._ask(pick)
            except ToolcribError as error:
                self.failed.append(Failed(pick.candidate, error))
                logger.info("%s failed: %s", pick.candidate.label, error.detail)
                if not next_may_answer(error, pick, tries[number + 1 :]):
                    break
        return await self._ask_again(best=self.failed[passed_over], last=self.failed[-1])

    async def _ask_again(self, *, best: Failed, last: Failed) -> tuple[T, Turn]:
        """Where all have failed, wait for the one that asks for a short wait; then give up."""
        wait_s = short_wait_s(last.error)
        pick = next((p for p in self._order.picks if p.candidate is last.candidate), None)
        if pick is None or wait_s is None or wait_s >= self._deadline.left_s:
            raise best.error
        await anyio.sleep(wait_s)
        return await self._ask(pick)

    async def _ask(self, pick: Pick) -> tuple[T, Turn]:
        turn = await self._open(pick)
        try:
            return await self._send(turn), turn
        except ToolcribError as error:
            await self._turns.close(turn, error.code, Usage(0, 0), estimated=True)
            self._turns.judge(turn, error)
            raise
        except BaseException:
            # What was sent is paid for, also by who does not wait for the answer.
            sent = Usage(self._needs.tokens_in, 0)
            await self._turns.close(turn, "cancelled", sent, estimated=True)
            raise

    async def _open(self, pick: Pick) -> Turn:
        left_s = self._deadline.left_s
        if left_s <= 0:
            provider, given_s = pick.candidate.provider or "", self._deadline.timeout_s
            raise UpstreamTimeout(provider, "the request", given_s, peer=Peer.PROVIDER)
        return await self._turns.open(self._order, pick, self._needs, timeout_s=left_s)
