"""A second try beside a slow one: the first answer counts, and nothing is left running."""

from typing import Any

import anyio
import pytest

from toolcrib_server.invocation.traffic.hedging import race

pytestmark = pytest.mark.anyio


class Tries:
    """Two tries that end when told, as told."""

    def __init__(self) -> None:
        self.ends = {1: anyio.Event(), 2: anyio.Event()}
        self.began = {1: anyio.Event(), 2: anyio.Event()}
        self.outcome: dict[int, Any] = {1: {"from": 1}, 2: {"from": 2}}
        self.cancelled: list[int] = []

    async def run(self, number: int) -> dict[str, Any]:
        self.began[number].set()
        try:
            await self.ends[number].wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(number)
            raise
        if isinstance(self.outcome[number], Exception):
            raise self.outcome[number]
        return self.outcome[number]

    async def race(self, after_s: float = 0.01) -> dict[str, Any]:
        with anyio.fail_after(30):
            return await race(lambda: self.run(1), lambda: self.run(2), after_s=after_s)


async def test_a_quick_answer_needs_no_second_try() -> None:
    tries = Tries()
    tries.ends[1].set()
    assert await tries.race(after_s=5) == {"from": 1}
    assert not tries.began[2].is_set()


async def test_the_second_answers_and_the_first_is_cancelled() -> None:
    tries = Tries()
    tries.ends[2].set()
    assert await tries.race() == {"from": 2}
    assert tries.cancelled == [1]


async def test_the_first_answers_though_the_second_runs() -> None:
    tries = Tries()
    async with anyio.create_task_group() as tasks:

        async def end_first() -> None:
            await tries.began[2].wait()
            tries.ends[1].set()

        tasks.start_soon(end_first)
        assert await tries.race() == {"from": 1}
    assert tries.cancelled == [2]


async def test_a_second_try_that_fails_leaves_the_first_running() -> None:
    tries = Tries()
    tries.outcome[2] = ValueError("second")
    tries.ends[2].set()
    async with anyio.create_task_group() as tasks:

        async def end_first() -> None:
            await tries.began[2].wait()
            tries.ends[1].set()

        tasks.start_soon(end_first)
        assert await tries.race() == {"from": 1}


async def test_where_both_fail_the_first_one_s_error_counts() -> None:
    tries = Tries()
    tries.outcome = {1: ValueError("first"), 2: ValueError("second")}
    tries.ends[2].set()
    async with anyio.create_task_group() as tasks:

        async def end_first() -> None:
            await tries.began[2].wait()
            tries.ends[1].set()

        tasks.start_soon(end_first)
        with pytest.raises(ValueError, match="first"):
            await tries.race()


async def test_a_first_try_that_fails_at_once_has_no_second() -> None:
    tries = Tries()
    tries.outcome[1] = ValueError("first")
    tries.ends[1].set()
    with pytest.raises(ValueError, match="first"):
        await tries.race(after_s=5)
    assert not tries.began[2].is_set()


async def test_who_is_cancelled_leaves_no_try_running() -> None:
    tries = Tries()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tries.race)
        await tries.began[2].wait()
        tasks.cancel_scope.cancel()
    assert sorted(tries.cancelled) == [1, 2]
