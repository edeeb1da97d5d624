"""Watches over requests that take long: whether the client is still there, and still knows it.

Most requests are answered sooner than it pays to look after them: a task for each costs more than
all else that is done here for a call. So a request is looked after once it has lasted for a moment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from .response import KEEP_ALIVE, ClientGone, Receive, Response

MOMENT_S = 0.1


class Watchman:
    """Watches over all requests of a face, while `run` runs."""

    def __init__(self, tasks: TaskGroup, *, keep_alive_s: float) -> None:
        self._tasks = tasks
        self._keep_alive_s = keep_alive_s
        self._open: set[Attended] = set()
        self._any = anyio.Event()

    def attend(
        self, receive: Receive, answer: Response, *, on_leave: Callable[[], None] | None = None
    ) -> Attended:
        """Look after a request while this is entered; ``on_leave`` hears that its client left."""
        return Attended(self, receive, answer, on_leave)

    def add(self, request: Attended) -> None:
        """Begin to look after a request."""
        if not self._open:
            self._any.set()
        self._open.add(request)

    def remove(self, request: Attended) -> None:
        """End to look after a request: it has been answered."""
        self._open.discard(request)

    async def run(self) -> None:
        """Look after requests. Never returns."""
        while True:
            if not self._open:
                self._any = anyio.Event()
                await self._any.wait()
            await anyio.sleep(MOMENT_S)
            since = time.monotonic() - MOMENT_S
            for request in list(self._open):
                if request.scope is None and request.began <= since:
                    request.scope = anyio.CancelScope()
                    self._tasks.start_soon(request.watch, self._keep_alive_s)


class Attended:
    """One request that is looked after."""

    __slots__ = ("_answer", "_on_leave", "_receive", "_watchman", "began", "scope")

    def __init__(
        self,
        watchman: Watchman,
        receive: Receive,
        answer: Response,
        on_leave: Callable[[], None] | None,
    ) -> None:
        self._watchman = watchman
        self._receive = receive
        self._answer = answer
        self._on_leave = on_leave
        self.began = time.monotonic()
        self.scope: anyio.CancelScope | None = None
        """Of the task that watches, once there is one."""

    def __enter__(self) -> Self:
        """Begin."""
        self._watchman.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._watchman.remove(self)
        if self.scope is not None:
            self.scope.cancel()

    async def watch(self, keep_alive_s: float) -> None:
        """Wait until the client has left; tell it from time to time that we have not."""
        assert self.scope is not None
        with self.scope:
            with contextlib.suppress(ClientGone):
                await watch(self._receive, self._answer, keep_alive_s=keep_alive_s)
            if self._on_leave is not None:
                self._on_leave()


async def watch(receive: Receive, answer: Response, *, keep_alive_s: float) -> None:
    """Return when the client has left; meanwhile say from time to time that we have not.

    Raises:
        ClientGone: It does not read.
    """
    while True:
        with anyio.move_on_after(keep_alive_s) as silence:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
        if silence.cancelled_caught:
            await answer.write(KEEP_ALIVE)
