"""What a server says to one hearer: told in order, and its questions answered, each by itself.

Whoever reads from the server hands things in here and goes on: no reader waits for a hearer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.abc
from mcp_types import INTERNAL_ERROR

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.task_groups import leave

from . import rpc
from .clock import Clock
from .interaction import OnAsk, OnNotice, Refused
from .rpc import METHOD_NOT_FOUND

logger = logging.getLogger(__name__)

Reply = Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]
"""Sends a response to the server; raises nothing, for nobody waits for it."""

MOST_QUESTIONS = 32
"""Who is asked more at once refuses."""
_MOST_REPLIES = 64
_MOST_WAITING = 1000
_MOST_WAITING_BYTES = 4 * 1024 * 1024
"""What waits for a slow hearer; beyond that the oldest is dropped."""
_LATE_S = 5.0
"""What a hearer may take for the rest once the request has been answered."""
_QUESTION_S = 3600.0
"""Nobody is waited for longer."""
_BUSY = -32000


class Hearer(Protocol):
    """Who hears and answers: an `Interaction`, or the `Profile` of a connection."""

    @property
    def on_notice(self) -> OnNotice | None:
        """Hears notifications."""
        ...

    @property
    def on_ask(self) -> OnAsk | None:
        """Answers requests."""
        ...


class Questions:
    """What a server asks on one connection and has not been answered yet, by the server's ids."""

    def __init__(self) -> None:
        self._open: dict[Hashable, anyio.CancelScope] = {}

    def open(self, asked: Hashable, scope: anyio.CancelScope) -> None:
        """Note that a question is being answered in ``scope``."""
        self._open[asked] = scope

    def close(self, asked: Hashable, scope: anyio.CancelScope) -> None:
        """Note that it is not any more."""
        if self._open.get(asked) is scope:
            del self._open[asked]

    def withdraw(self, asked: object) -> None:
        """Stop answering: the server does not want to know any more."""
        scope = self._open.get(asked) if isinstance(asked, (int, str)) else None
        if scope is not None:
            scope.cancel()


class Dialogue:
    """What is said to one hearer. An async context manager; leaving drops open questions.

    ``listens``: the request is a subscription, and everything that comes by its stream is for it.
    """

    def __init__(
        self,
        hearer: Hearer,
        questions: Questions,
        *,
        key: str = "",
        clock: Clock | None = None,
        hears_logs: bool = False,
        listens: bool = False,
    ) -> None:
        self.hearer = hearer
        self.key = key
        """Whose it is: the key of the profile."""
        self.hears_logs = hears_logs
        """Whether a log message may be for it."""
        self.listens = listens
        self._clock = clock
        self._questions = questions
        self._answering = self._replying = 0
        self._waiting: deque[tuple[str, JsonObject, int]] = deque()
        self._waiting_bytes = 0
        self._is_told: anyio.Event | None = None
        self._tasks: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        return await leave(tasks, kind, error, trace)

    async def finish(self) -> None:
        """Wait until all is told that was said before the answer, though not for ever."""
        if self._is_told is not None:
            with anyio.move_on_after(_LATE_S), self.resting():
                await self._is_told.wait()

    def resting(self) -> AbstractContextManager[None]:
        """Stop the time that the request has."""
        return nullcontext() if self._clock is None else self._clock.resting()

    @property
    def can_hear(self) -> bool:
        """Whether anybody hears what is told."""
        return self.hearer.on_notice is not None

    @property
    def can_ask(self) -> bool:
        """Whether anybody answers."""
        return self.hearer.on_ask is not None

    def tell(self, method: str, params: JsonObject) -> None:
        """Hand on a notification, after those before it."""
        if self._tasks is None or not self.can_hear:
            return
        size = 0
        if self._is_told is not None:  # the hearer is behind: now it matters how much there is
            size = len(encode(params))
            while self._waiting and self._is_too_much(size):
                self._waiting_bytes -= self._waiting.popleft()[2]
        self._waiting.append((method, params, size))
        self._waiting_bytes += size
        if self._is_told is None:
            self._is_told = anyio.Event()
            self._tasks.start_soon(self._tell_all, self._is_told)

    def _is_too_much(self, more: int) -> bool:
        too_many = len(self._waiting) >= _MOST_WAITING
        return too_many or self._waiting_bytes + more > _MOST_WAITING_BYTES

    async def _tell_all(self, told: anyio.Event) -> None:
        while self._waiting:
            method, params, size = self._waiting.popleft()
            self._waiting_bytes -= size
            on_notice = self.hearer.on_notice
            try:
                if on_notice is not None:
                    await on_notice(method, params)
            except Exception:
                logger.exception("%s could not be handed on", method)
        self._is_told = None
        told.set()

    def ask(
        self, message: Mapping[str, Any], reply: Reply, *, about: Sequence[Dialogue] = ()
    ) -> None:
        """Have a request of the server's answered; the answer goes by ``reply``.

        If ours ends before that, nothing is answered any more. ``about`` are others that it may be
        about: their deadlines rest as well.
        """
        if self._tasks is None:
            return
        asked = message.get("id")
        if isinstance(asked, bool) or not isinstance(asked, (int, str)):
            return  # there is nothing to answer to
        if message.get("method") == "ping":
            self._send(reply, rpc.response(asked, {}))
        elif not self.can_ask:
            text = "Method not found: this client cannot be asked anything"
            self._send(reply, rpc.error_response(asked, METHOD_NOT_FOUND, text))
        elif self._answering >= MOST_QUESTIONS:
            text = f"{MOST_QUESTIONS} requests wait for an answer already"
            self._send(reply, rpc.error_response(asked, _BUSY, text))
        else:
            self._answering += 1
            # At once: the server may withdraw it in the same breath.
            scope = anyio.CancelScope(deadline=anyio.current_time() + _QUESTION_S)
            self._questions.open(asked, scope)
            self._tasks.start_soon(self._answer, message, reply, [self, *about], scope)

    def _send(self, reply: Reply, answer: Mapping[str, Any]) -> None:
        """Answer at once; a server that asks and asks, and reads no answer, is given none."""
        if self._tasks is not None and self._replying < _MOST_REPLIES:
            self._replying += 1
            self._tasks.start_soon(self._reply, reply, answer)

    async def _reply(self, reply: Reply, answer: Mapping[str, Any]) -> None:
        await reply(answer)
        self._replying -= 1

    async def _answer(
        self,
        message: Mapping[str, Any],
        reply: Reply,
        about: Sequence[Dialogue],
        scope: anyio.CancelScope,
    ) -> None:
        asked = message["id"]
        with scope, ExitStack() as resting:
            for dialogue in about:
                resting.enter_context(dialogue.resting())
            try:
                answer = await self._put(asked, message)
            finally:
                resting.close()
                self._questions.close(asked, scope)
            await reply(answer)
        if scope.cancelled_caught and anyio.current_time() >= scope.deadline:
            await reply(rpc.error_response(asked, _BUSY, "Nobody answered"))
        self._answering -= 1

    async def _put(self, asked: int | str, message: Mapping[str, Any]) -> dict[str, Any]:
        params = rpc.params_of(message)
        on_ask = self.hearer.on_ask
        assert on_ask is not None
        try:
            return rpc.response(asked, await on_ask(message["method"], params))
        except Refused as refused:
            return rpc.error_response(asked, refused.code, refused.message, refused.data)
        except Exception:
            logger.exception("%s could not be answered", message["method"])
            return rpc.error_response(asked, INTERNAL_ERROR, "Toolcrib failed; see its log")
