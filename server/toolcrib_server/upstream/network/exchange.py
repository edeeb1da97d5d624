"""One bare connection: a request goes out in one write, its plain answer is read whole.

Whatever is not exactly that ends the connection, so that no byte of one answer is ever taken for
another's. Knows no URL and nothing of MCP.
"""

from __future__ import annotations

import asyncio
from typing import cast

from .plain_answer import PlainAnswer, Surprise


class HungUp(Surprise):
    """The connection ended before the first byte of an answer."""


class Exchange(asyncio.Protocol):
    """Asks one thing at a time; if the connection is not ``is_idle`` after that, it is gone."""

    __slots__ = ("_answer", "_limit_bytes", "_transport", "_waiting")

    def __init__(self, *, limit_bytes: int) -> None:
        """Take no answer of more than ``limit_bytes``, its head and framing included."""
        self._limit_bytes = limit_bytes
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._answer: PlainAnswer | None = None

    @property
    def is_idle(self) -> bool:
        """Whether a request can be sent."""
        transport = self._transport
        return self._waiting is None and transport is not None and not transport.is_closing()

    async def ask(self, request: bytes) -> bytes:
        """Send a whole request, return the body of its answer. Cancelling ends the connection.

        Raises:
            Surprise: The answer is no plain one, or there is none.
        """
        if self._transport is None or not self.is_idle:
            raise HungUp("broke the connection off")
        answer = self._answer = PlainAnswer(limit_bytes=self._limit_bytes)
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        is_whole = False
        try:
            self._transport.write(request)
            body = await waiting
            is_whole = answer.is_reusable
        finally:
            self._answer = self._waiting = None
            if not is_whole:
                self.close()
        return body

    def close(self) -> None:
        """Hang up at once; what is still on its way is not read."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. This and what follows is the event loop's to call."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        waiting, answer = self._waiting, self._answer
        if waiting is None or answer is None or waiting.done():
            self.close()
            if answer is not None:
                answer.is_reusable = False
            return
        try:
            body = answer.feed(data)
        except Surprise as surprise:
            self.close()
            waiting.set_exception(surprise)
        else:
            if body is not None:
                waiting.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and with it the wait for an answer."""
        waiting, answer = self._waiting, self._answer
        if waiting is not None and answer is not None and not waiting.done():
            ended = Surprise if answer.has_begun else HungUp
            waiting.set_exception(ended("broke the connection off"))
