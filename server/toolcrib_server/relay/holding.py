"""All calls that are kept while their clients gather answers: how many, and for how long."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio
import anyio.abc

from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.service import Client
from toolcrib_server.task_groups import leave

from .held_call import HeldCall
from .profiles import profile_of

_MOST_BUSY_LANES = 4
_MOST_ENDED = 4096


class HeldCalls:
    """All calls of this process that their clients could be asked about. An async context."""

    def __init__(self, *, ttl_s: float, most: int, most_each: int) -> None:
        """``most`` may wait for their clients at once, ``most_each`` of one principal.

        Where there are more, the oldest is cancelled: if its client comes back, it is sent again.
        """
        self.ttl_s = ttl_s
        self._most = most
        self._most_each = most_each
        self._calls: dict[str, HeldCall] = {}
        self._waiting: OrderedDict[str, HeldCall] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._tasks: anyio.abc.TaskGroup | None = None

    def __len__(self) -> int:
        """How many wait for their clients."""
        return len(self._waiting)

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

    def start(
        self,
        client: Client,
        subject: str,
        answers: JsonObject,
        send: Callable[[HeldCall], Awaitable[JsonObject]],
    ) -> HeldCall:
        """Begin a call whose server may ask the client something."""
        assert self._tasks is not None, "it is not open"
        place = (subject, profile_of(client).key)
        call = HeldCall(client, answers, place=place, lane=self._free_lane(place))
        self._calls[call.id] = call
        self._tasks.start_soon(self._run, call, send)
        return call

    def find(self, call_id: str) -> HeldCall | None:
        """Find a call that is not over."""
        return self._calls.get(call_id)

    def has_ended(self, call_id: str) -> bool:
        """Whether a call ended here, and its client has the result."""
        return call_id in self._ended

    @asynccontextmanager
    async def attend(self, call: HeldCall) -> AsyncGenerator[None]:
        """Be the request that waits for a call: when it is cancelled, so is the call."""
        call.attended += 1
        call.scope.deadline = math.inf
        call.fetched.set()
        self._waiting.pop(call.id, None)
        try:
            yield
        except anyio.get_cancelled_exc_class():
            call.attended -= 1
            if not call.attended:
                call.give_up()
            raise
        call.attended -= 1
        if call.is_over:
            self._note_end(call.id)
        elif not call.attended:
            self._keep(call)

    def _keep(self, call: HeldCall) -> None:
        call.scope.deadline = anyio.current_time() + self.ttl_s
        call.fetched = anyio.Event()
        self._waiting[call.id] = call
        each = Counter(one.client.principal for one in self._waiting.values())
        principal, count = call.client.principal, each[call.client.principal]
        if len(self._waiting) > self._most and count <= self._most_each:
            principal, count = each.most_common(1)[0]
        if len(self._waiting) > self._most or count > self._most_each:
            oldest = next(c for c in self._waiting.values() if c.client.principal == principal)
            del self._waiting[oldest.id]
            oldest.give_up()

    async def _run(self, call: HeldCall, send: Callable[[HeldCall], Awaitable[JsonObject]]) -> None:
        try:
            await call.run(lambda: send(call))
            if not call.attended and not call.scope.cancelled_caught:
                # It ended without the answer. Its client learns that when it comes back.
                with anyio.move_on_after(self.ttl_s):
                    await call.fetched.wait()
        finally:
            del self._calls[call.id]
            self._waiting.pop(call.id, None)

    def _note_end(self, call_id: str) -> None:
        self._ended[call_id] = None
        if len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)

    def _free_lane(self, place: tuple[str, str]) -> int:
        """Choose a connection on which no other call waits for a person, nor, if it can be, runs.

        On links that do not say to which request a question belongs, calls have to take turns.
        """
        busy: Counter[int] = Counter()
        asking: set[int] = set()
        for call in self._calls.values():
            if call.place == place:
                busy[call.lane] += 1
                if call.questions:
                    asking.add(call.lane)
        free = [lane for lane in range(len(busy) + 1) if lane not in asking]
        idle = next(lane for lane in range(len(busy) + 1) if lane not in busy)
        running = [lane for lane in free if lane in busy]
        if len(running) < _MOST_BUSY_LANES:
            return idle
        return min(running, key=lambda lane: busy[lane])
