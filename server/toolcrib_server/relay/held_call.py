"""One call that is kept while its client gathers answers.

A handshake-era server asks in the midst of a call; a client of 2026-07-28 is asked by an answer,
and answers with another request. Between the two, the call waits here, in a task of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.asking import lacking
from toolcrib_server.downstream.service import Client, Notify
from toolcrib_server.upstream.messages.interaction import Refused

from .questions import name_question, strip_hop, what_is_missing

_SETTLE_S = 0.01
"""A server that asks several things at once asks them within so long."""


@dataclass(slots=True)
class _Question:
    method: str
    params: JsonObject
    answered: anyio.Event = field(default_factory=anyio.Event)


class HeldCall:
    """One call, and what its server has asked so far."""

    def __init__(
        self, client: Client, answers: JsonObject, *, place: tuple[str, str], lane: int
    ) -> None:
        self.id = secrets.token_hex(16)
        self.client = client
        self.place = place
        self.lane = lane
        self.answers: dict[str, Any] = dict(answers)
        """Those given, by the name of the question; kept in case that the call is sent again."""
        self.missing: dict[str, Any] = {}
        """What the server asked for that the client does not declare."""
        self.result: JsonObject | None = None
        self.failure: Exception | None = None
        self.attended = 0
        self.scope = anyio.CancelScope()
        self.fetched = anyio.Event()
        self._asked: list[str] = []
        self._questions: dict[str, _Question] = {}
        self._stirred = anyio.Event()
        self._notify: Notify | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is an outcome."""
        return self.result is not None or self.failure is not None

    @property
    def questions(self) -> dict[str, JsonObject]:
        """What is asked and not answered yet, as ``inputRequests`` holds it."""
        return {n: {"method": q.method, "params": q.params} for n, q in self._questions.items()}

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Answer the server, at once if the answer is known.

        Raises:
            Refused: The client does not declare that it can be asked this.
        """
        asked = strip_hop(params)
        missing = what_is_missing(method, asked, self.client)
        if missing:
            self.missing = missing
            refusal = lacking(missing)
            raise Refused(refusal.code, refusal.message, refusal.data)
        name = name_question(method, asked, self._asked)
        self._asked.append(name)
        if name not in self.answers:
            question = self._questions[name] = _Question(method, asked)
            self._stir()
            try:
                await question.answered.wait()
            finally:
                self._questions.pop(name, None)
        return self.answers[name]

    async def notify(self, method: str, params: JsonObject) -> None:
        """Tell the client, if it waits."""
        if self._notify is not None:
            await self._notify(method, params)

    def answer(self, responses: Mapping[str, JsonObject]) -> None:
        """Give answers to what is asked; others are ignored."""
        for name in self._questions.keys() & responses.keys():
            self.answers[name] = responses[name]
            self._questions.pop(name).answered.set()

    def give_up(self) -> None:
        """Cancel it at its server; if it is over already, forget the outcome."""
        self.scope.cancel()
        self.fetched.set()

    async def run(self, send: Callable[[], Awaitable[JsonObject]]) -> None:
        """Make the call, and keep its outcome."""
        try:
            with self.scope:
                self.result = await send()
        except Exception as error:  # noqa: BLE001  # top of a task; whoever waits raises it
            self.failure = error
        finally:
            if not self.is_over:
                self.failure = TimeoutError("the call was given up")
            self._stir()

    async def wait(self, notify: Notify) -> None:
        """Wait until it is over, or the client has to be asked."""
        self._notify = notify
        while not self.is_over and not self._questions:
            await self._stirred.wait()
        with anyio.move_on_after(_SETTLE_S):
            while not self.is_over:
                await self._stirred.wait()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()
