"""One bare HTTP/1.1 connection: a request goes out in one write, its answer comes back in parts.

It asks one thing at a time, reads no faster than it is listened to, and is given up at whatever it
does not understand, so that no byte of one answer is ever taken for another's. Knows no URL and
nothing of MCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import anyio

from toolcrib_server.upstream.failures import LinkLost, Unanswered

from .answer import Answer

_MOST_BUFFERED = 256 * 1024
"""What of a body may lie here unread before the server is made to wait."""
_LINGER_S = 0.5
_LINGER_BYTES = 64 * 1024
"""How long, and over how much, an answer may still end whose essence has been read."""


class Channel(asyncio.Protocol):
    """A connection. ``on_free`` is told when it can be used again, ``on_gone`` when it never can.

    Exactly one of the two is told after each request, and ``on_gone`` too when it ends unused.
    """

    __slots__ = (
        "_answer",
        "_failure",
        "_is_clogged",
        "_is_reading",
        "_linger",
        "_lingered_bytes",
        "_on_free",
        "_on_gone",
        "_transport",
        "_waiter",
        "idle_since",
    )

    def __init__(
        self, *, on_free: Callable[[Channel], None], on_gone: Callable[[Channel], None]
    ) -> None:
        self._on_free = on_free
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._failure: Unanswered | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._lingered_bytes = 0
        self._is_reading = True
        self._is_clogged = False
        self.idle_since = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether a request can be sent."""
        transport = self._transport
        return self._answer is None and transport is not None and not transport.is_closing()

    async def ask(
        self, request: bytes, method: str, *, write_timeout_s: float | None, quiet_s: float | None
    ) -> Answer:
        """Send a whole request; return its answer as soon as the head has come.

        Call `release` in any case. ``quiet_s`` is the longest silence.

        Raises:
            LinkLost: The connection had ended before.
            Unanswered: It ended, or what came is no HTTP.
        """
        if self._transport is None or not self.is_usable:
            raise LinkLost("the connection had been closed", delivered=False)
        answer = self._answer = Answer(method)
        self._transport.write(request)
        if self._is_clogged:
            await self._write_out(answer, write_timeout_s)
        while not answer.status:
            await self._wait(quiet_s)
        return answer

    async def parts(self, *, quiet_s: float | None) -> AsyncIterator[bytes]:
        """Read the body as it comes.

        Raises:
            Unanswered: The connection broke, or was silent for longer than ``quiet_s``.
        """
        answer = self._answer
        while answer is not None:
            if answer.buffered_bytes:
                part = answer.take()
                self._read_on()
                yield part
            elif answer.is_whole:
                return
            else:
                await self._wait(quiet_s)

    def release(self, *, is_done: bool) -> bool:
        """End the request; return whether the rest of its answer is still awaited.

        ``is_done``: all that matters has been read; else it is cancelled.

        What remains of an answer that is done may still come, in little time; where it ends as it
        should, the connection serves the next request. Cancelling ends the connection at once.
        """
        answer, transport = self._answer, self._transport
        if answer is None or transport is None or transport.is_closing():
            self.close()
        elif answer.is_whole:
            self._finish(answer)
        elif is_done and answer.status:
            self._lingered_bytes = answer.buffered_bytes
            answer.take()
            self._linger = asyncio.get_running_loop().call_later(_LINGER_S, self.close)
            self._read_on()
            return True
        else:
            self.close()
        return False

    def close(self) -> None:
        """Hang up at once; what is still on its way is not read."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. This and what follows is the event loop's to call."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        answer = self._answer
        if answer is None or answer.is_whole:
            if answer is not None:
                answer.is_reusable = False
            self.close()
            return
        try:
            answer.feed(data)
        except Unanswered as failure:
            self._fail(failure)
            return
        if self._linger is not None:
            self._let_linger(answer)
        elif answer.buffered_bytes > _MOST_BUFFERED and self._is_reading:
            self._pause()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; an answer that has no other end ends here."""
        if self._linger is not None:
            self._linger.cancel()
        answer = self._answer
        if answer is not None:
            try:
                if exc is not None:
                    raise Unanswered(f"broke the connection off: {exc}")
                answer.feed_end()
            except Unanswered as failure:
                if not answer.is_whole:
                    self._failure = self._failure or failure
            answer.is_reusable = False
        self._wake()
        self._on_gone(self)

    def pause_writing(self) -> None:
        """Note that the server does not read."""
        self._is_clogged = True

    def resume_writing(self) -> None:
        """Note that the server reads again."""
        self._is_clogged = False
        self._wake()

    async def _write_out(self, answer: Answer, timeout_s: float | None) -> None:
        # A server may answer before it has read all, and close: then the answer is what counts.
        with anyio.move_on_after(timeout_s) as scope:
            while self._is_clogged and not answer.status:
                await self._wait(None)
        if scope.cancelled_caught:
            raise Unanswered(f"did not read the request in {timeout_s:g} s")

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait for the next event.

        Raises:
            Unanswered: There will be none, or it took too long.
        """
        if self._failure is not None:
            raise self._failure
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._time_out, timeout_s)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        if self._failure is not None:
            raise self._failure

    def _time_out(self, timeout_s: float) -> None:
        self._fail(Unanswered(f"was silent for {timeout_s:g} s"))

    def _fail(self, failure: Unanswered) -> None:
        self._failure = self._failure or failure
        self._wake()
        self.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        if self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if not self._is_reading and self._transport is not None:
            self._is_reading = True
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _let_linger(self, answer: Answer) -> None:
        self._lingered_bytes += answer.buffered_bytes
        answer.take()
        if answer.is_whole:
            self._finish(answer)
        elif self._lingered_bytes > _LINGER_BYTES:
            self.close()

    def _finish(self, answer: Answer) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        transport = self._transport
        is_written = transport is not None and not transport.get_write_buffer_size()
        if not (answer.is_reusable and is_written):
            self.close()
            return
        answer.take()
        self._read_on()
        self._answer = None
        self._on_free(self)
