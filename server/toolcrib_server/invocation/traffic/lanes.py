"""How many calls a server answers at once, and who is next: fair between those who call.

Each server has a lane of its own, so one that hangs delays nobody else. Of those who wait, whoever
has the fewest calls running in the lane goes first; among equals they take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from toolcrib_registry.errors import ServerBusy
from toolcrib_registry.types import ServerName
from toolcrib_server.invocation.rules.policy import CallPolicy

_AGAIN_S = 5.0


class _Turn:
    """One call that waits."""

    __slots__ = ("came", "is_granted")

    def __init__(self) -> None:
        self.came = anyio.Event()
        self.is_granted = False


class Lane:
    """The places of one server. Belongs to the event loop."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[_Turn]] = {}
        """By who waits; whoever's turn it is comes first."""
        self.waiting = 0
        self._lent = 0

    @property
    def running(self) -> int:
        """How many calls hold a place."""
        return sum(self._running.values())

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in it, or will be back."""
        return not self._running and not self.waiting and not self._lent

    def enter_now(self, who: str) -> bool:
        """Take a place if one is free."""
        if self._free <= 0 or self.waiting:
            return False
        self._take(who)
        return True

    async def wait(self, who: str, *, longest_s: float) -> bool:
        """Wait for a place, and take it; False when none came free in time."""
        turn = _Turn()
        self._waiting.setdefault(who, deque()).append(turn)
        self.waiting += 1
        try:
            with anyio.move_on_after(longest_s):
                await turn.came.wait()
        except BaseException:
            # Cancelled; the turn may have come in the same moment.
            self._give_up(who, turn)
            raise
        if turn.is_granted:
            return True
        self._forget(who, turn)
        return False

    def leave(self, who: str) -> None:
        """Give a place back, to whoever is next."""
        running = self._running[who] - 1
        if running:
            self._running[who] = running
        else:
            del self._running[who]
        self._free += 1
        while self._free > 0 and self.waiting:
            self._grant()

    def lend(self, who: str) -> None:
        """Leave a place for a while."""
        self._lent += 1
        self.leave(who)

    def take_back(self, who: str) -> None:
        """Have a lent place again, whether one is free or not."""
        self._lent -= 1
        self._take(who)

    def renounce(self) -> None:
        """Have no more claim to a lent place."""
        self._lent -= 1

    def _take(self, who: str) -> None:
        self._free -= 1
        self._running[who] = self._running.get(who, 0) + 1

    def _grant(self) -> None:
        # The first of those with the fewest: `min` keeps the order among equals.
        who = min(self._waiting, key=lambda name: self._running.get(name, 0))
        turns = self._waiting.pop(who)
        turn = turns.popleft()
        if turns:
            self._waiting[who] = turns
        self.waiting -= 1
        self._take(who)
        turn.is_granted = True
        turn.came.set()

    def _give_up(self, who: str, turn: _Turn) -> None:
        if turn.is_granted:
            self.leave(who)
        else:
            self._forget(who, turn)

    def _forget(self, who: str, turn: _Turn) -> None:
        turns = self._waiting[who]
        turns.remove(turn)
        if not turns:
            del self._waiting[who]
        self.waiting -= 1


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many calls a server answers now, and how many wait for it."""

    running: int
    waiting: int


class Lanes:
    """A lane for each server that is being called."""

    def __init__(self) -> None:
        self._lanes: dict[ServerName, Lane] = {}

    async def enter(
        self, server: ServerName, who: str, policy: CallPolicy, *, left_s: float
    ) -> Place:
        """Take a place, waiting for one where that is needed.

        Raises:
            ServerBusy: As many wait as may, or this one has for too long.
        """
        place = self.enter_now(server, who, policy)
        if place is not None:
            return place
        lane = self._lanes[server]
        if lane.waiting >= policy.queue:
            reason = f"{lane.running} calls run, and {lane.waiting} wait"
            raise ServerBusy(server, reason, retry_after_s=_AGAIN_S)
        longest_s = min(policy.queue_wait_s, left_s)
        try:
            came = await lane.wait(who, longest_s=longest_s)
        finally:
            self.drop_if_idle(server, lane)
        if not came:
            reason = f"no place came free for this call within {longest_s:g} s"
            raise ServerBusy(server, reason, retry_after_s=_AGAIN_S)
        return Place(self, server, lane, who)

    def enter_now(self, server: ServerName, who: str, policy: CallPolicy) -> Place | None:
        """Take a place if one is free."""
        lane = self._lanes.get(server)
        if lane is None:
            lane = self._lanes[server] = Lane(policy.concurrency)
        return Place(self, server, lane, who) if lane.enter_now(who) else None

    def crowds(self) -> Mapping[ServerName, Crowd]:
        """Say how full it is, by server; those that nobody calls are left out."""
        return {name: Crowd(lane.running, lane.waiting) for name, lane in self._lanes.items()}

    def drop(self, server: ServerName, lane: Lane, who: str) -> None:
        """Give a place back."""
        lane.leave(who)
        self.drop_if_idle(server, lane)

    def drop_if_idle(self, server: ServerName, lane: Lane) -> None:
        """Keep no lane that nobody is in."""
        if lane.is_idle and self._lanes.get(server) is lane:
            del self._lanes[server]


class Place:
    """A call's place in a lane, until left."""

    __slots__ = ("_asking", "_is_left", "_lane", "_lanes", "_server", "_who")

    def __init__(self, lanes: Lanes, server: ServerName, lane: Lane, who: str) -> None:
        self._lanes = lanes
        self._server = server
        self._lane = lane
        self._who = who
        self._asking = 0
        self._is_left = False

    def lend(self) -> None:
        """Let another have it for a while: a person is being asked, and the server waits."""
        self._asking += 1
        if self._asking == 1 and not self._is_left:
            self._lane.lend(self._who)

    def take_back(self) -> None:
        """Have it again, unless it was left meanwhile."""
        self._asking -= 1
        if self._asking == 0 and not self._is_left:
            self._lane.take_back(self._who)

    def leave(self) -> None:
        """Give it back for good."""
        self._is_left = True
        if self._asking:
            self._lane.renounce()
            self._lanes.drop_if_idle(self._server, self._lane)
        else:
            self._lanes.drop(self._server, self._lane, self._who)
