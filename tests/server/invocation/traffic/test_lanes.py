"""Turns: never more than there are places, nobody passed over by who holds more, nothing lost."""

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import ServerBusy
from toolcrib_registry.types import ServerName
from toolcrib_server.invocation.rules.policy import CallPolicy
from toolcrib_server.invocation.traffic.lanes import Lane, Lanes

pytestmark = pytest.mark.anyio

SHOP = ServerName("shop")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from("abc")),
        st.tuples(st.just("leave"), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("both"), st.integers(0, 20)),
        st.tuples(st.just("ask"), st.integers(0, 20)),
    ),
    max_size=40,
)


class Crowd:
    """Plays callers in a lane, and watches that the laws hold."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.lane = Lane(places)
        self.holding: list[str] = []
        self.asking: list[str] = []
        self.waiting: list[tuple[str, anyio.CancelScope]] = []

    async def enter(self, tasks: anyio.abc.TaskGroup, who: str) -> None:
        if self.lane.enter_now(who):
            self.holding.append(who)
            return
        scope = anyio.CancelScope()
        self.waiting.append((who, scope))
        tasks.start_soon(self._wait, who, scope)
        await checkpoint()

    async def _wait(self, who: str, scope: anyio.CancelScope) -> None:
        with scope:
            assert await self.lane.wait(who, longest_s=60)
            self._check_fair(who)
            self.holding.append(who)
        self.waiting.remove((who, scope))

    def _check_fair(self, who: str) -> None:
        # Counted by the lane before this task went on; others may have been served after it.
        before = self.lane._running[who] - 1
        passed = [name for name in self.lane._waiting if self.lane._running.get(name, 0) < before]
        assert not passed, f"{who} held {before} and was served before {passed}"

    def leave(self, number: int) -> None:
        if self.holding:
            self.lane.leave(self.holding.pop(number % len(self.holding)))

    def cancel(self, number: int) -> None:
        if self.waiting:
            self.waiting[number % len(self.waiting)][1].cancel()

    def ask(self, number: int) -> None:
        """Lend a place, or take a lent one back."""
        if self.asking and number % 2:
            who = self.asking.pop()
            self.lane.take_back(who)
            self.holding.append(who)
        elif self.holding:
            who = self.holding.pop(number % len(self.holding))
            self.lane.lend(who)
            self.asking.append(who)

    def check(self) -> None:
        # Lent places are taken back at once, so there may be more running for a while.
        assert self.lane.running == len(self.holding)
        assert self.lane.waiting == len(self.waiting)
        if self.waiting:
            assert len(self.holding) >= self.places, "a place is free, and somebody waits"


@given(steps=STEPS, places=st.integers(1, 3))
def test_turns_are_fair_and_no_place_is_lost(steps: list[Any], places: int) -> None:
    async def play() -> None:
        crowd = Crowd(places)
        async with anyio.create_task_group() as tasks:
            for verb, what in steps:
                match verb:
                    case "enter":
                        await crowd.enter(tasks, what)
                    case "leave":
                        crowd.leave(what)
                    case "cancel":
                        crowd.cancel(what)
                    case "ask":
                        crowd.ask(what)
                    case _:  # a turn that comes in the moment in which nobody wants it any more
                        crowd.leave(what)
                        crowd.cancel(what)
                await settle()
                crowd.check()
            while crowd.holding or crowd.waiting or crowd.asking:
                crowd.ask(1)
                crowd.leave(0)
                await settle()
        assert crowd.lane.is_idle
        assert crowd.lane._free == places

    anyio.run(play)


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


async def test_whoever_holds_fewest_goes_first() -> None:
    lane, served = Lane(2), []

    async def call(who: str) -> None:
        assert await lane.wait(who, longest_s=5)
        served.append(who)

    assert lane.enter_now("a")
    assert lane.enter_now("a")
    async with anyio.create_task_group() as tasks:
        for who in ("a", "a", "b", "c", "b"):
            tasks.start_soon(call, who)
        await settle()
        for _ in range(3):
            lane.leave("a" if len(served) < 2 else "b")
            await settle()
        # With b running, a and c hold nothing, and a has waited longer than c.
        assert served == ["b", "a", "c"]
        tasks.cancel_scope.cancel()


async def test_a_place_is_lent_while_a_person_is_asked() -> None:
    lanes, policy = Lanes(), CallPolicy(concurrency=1, queue_wait_s=0.01)
    asking = await lanes.enter(SHOP, "a", policy, left_s=5)
    with pytest.raises(ServerBusy):
        await lanes.enter(SHOP, "b", policy, left_s=5)
    asking.lend()
    other = await lanes.enter(SHOP, "b", policy, left_s=5)
    asking.take_back()
    with pytest.raises(ServerBusy):
        await lanes.enter(SHOP, "c", policy, left_s=5)
    other.leave()
    with pytest.raises(ServerBusy):
        await lanes.enter(SHOP, "c", policy, left_s=5)
    asking.leave()
    assert not lanes.crowds()


async def test_a_lent_place_that_nobody_comes_back_for_is_no_place_held() -> None:
    lanes, policy = Lanes(), CallPolicy(concurrency=1)
    asking = await lanes.enter(SHOP, "a", policy, left_s=5)
    asking.lend()
    asking.leave()
    asking.take_back()
    assert not lanes.crowds()
    assert lanes.enter_now(SHOP, "b", policy) is not None


async def test_nobody_waits_past_the_deadline_of_the_call() -> None:
    lanes, policy = Lanes(), CallPolicy(concurrency=1, queue_wait_s=60)
    place = await lanes.enter(SHOP, "a", policy, left_s=5)
    with anyio.fail_after(30), pytest.raises(ServerBusy, match=r"within 0.01 s"):
        await lanes.enter(SHOP, "b", policy, left_s=0.01)
    place.leave()
