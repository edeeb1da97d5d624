"""Requests done together: none is lost, none waits alone, and who gives up harms nobody."""

from collections.abc import Sequence

import anyio
import pytest

from toolcrib_server.sync.grouping import Grouped

pytestmark = pytest.mark.anyio


class Work:
    """Does groups when it is let, and remembers them."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = anyio.Event()
        self.has_begun = anyio.Event()

    async def __call__(self, items: Sequence[int]) -> int:
        self.groups.append(list(items))
        self.has_begun.set()
        await self.may_go_on.wait()
        if 13 in items:
            raise ValueError("thirteen")
        return sum(items)


async def test_what_comes_during_a_turn_makes_up_the_next() -> None:
    work = Work()
    grouped = Grouped(work)
    results: dict[int, int] = {}

    async def ask(item: int) -> None:
        results[item] = await grouped(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, 1)
        await work.has_begun.wait()
        for item in (2, 3, 4):
            tasks.start_soon(ask, item)
        await anyio.wait_all_tasks_blocked()
        work.may_go_on.set()
    assert work.groups == [[1], [2, 3, 4]]
    assert results == {1: 1, 2: 9, 3: 9, 4: 9}


async def test_a_failed_turn_fails_for_those_of_its_group_alone() -> None:
    work = Work()
    work.may_go_on.set()
    grouped = Grouped(work)
    with pytest.raises(ValueError, match="thirteen"):
        await grouped(13)
    assert await grouped(5) == 5


async def test_who_gives_up_leaves_the_others_their_turn() -> None:
    work = Work()
    grouped = Grouped(work)
    results: list[int] = []

    async def ask(item: int) -> None:
        results.append(await grouped(item))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as impatient:

            async def leave() -> None:
                await work.has_begun.wait()
                tasks.start_soon(ask, 2)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel()

            tasks.start_soon(leave)
            await grouped(1)
        assert impatient.cancelled_caught
        work.may_go_on.set()
    assert results == [2]
    assert work.groups == [[1], [2]]


async def test_who_gives_up_while_waiting_is_not_done() -> None:
    work = Work()
    grouped = Grouped(work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(grouped, 1)
        await work.has_begun.wait()
        with anyio.move_on_after(0):
            await grouped(2)
        tasks.start_soon(grouped, 3)
        await anyio.wait_all_tasks_blocked()
        work.may_go_on.set()
    assert work.groups == [[1], [3]]
