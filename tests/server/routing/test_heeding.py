"""Long work in a thread ends soon after nobody waits for it, and what it had done is kept."""

import asyncio
import threading
from collections.abc import Callable

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.store import Store
from toolcrib_registry.types import hash_query
from toolcrib_server.learning.mode import Sharing
from toolcrib_server.routing.heeding import heeding
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio

TEXTS = [f"question number {number}" for number in range(1_000)]
STOPPED_AT = 600


def learner_of(store: Store, indexer: Indexer) -> RoutingLearner:
    return RoutingLearner(store, indexer.index, mode=RoutingMode.ON, sharing=Sharing.PRINCIPAL)


def kept(store: Store) -> int:
    return len(store.get_embeddings(HashEncoder().id, [hash_query(text) for text in TEXTS]))


class Stopping:
    """Notes how far the work is, and has the wait for it ended from within."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self.stop = stop
        self.told: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.told.append((done, total))
        if done == STOPPED_AT:
            anyio.from_thread.run_sync(self.stop)


async def test_work_ends_where_its_scope_is_cancelled(store: Store, indexer: Indexer) -> None:
    await indexer.catch_up()
    scope = anyio.CancelScope()
    stopping = Stopping(scope.cancel)
    with scope:
        await learner_of(store, indexer).prepare(TEXTS, on_progress=stopping)
    assert scope.cancelled_caught
    assert stopping.told[-1] == (STOPPED_AT, len(TEXTS))
    assert kept(store) == 512  # the two batches that were whole


async def test_work_ends_where_its_task_is_cancelled() -> None:
    """Which does not wait for the thread: it ends by itself, with what it tells next."""
    task = asyncio.current_task()
    assert task is not None
    nobody_waits, is_over = threading.Event(), threading.Event()

    def work(show: Callable[[int, int], None]) -> None:
        show(1, 2)
        anyio.from_thread.run_sync(task.cancel)
        nobody_waits.wait(30)
        try:
            show(2, 2)
        except Exception:
            is_over.set()
            raise

    told: list[tuple[int, int]] = []
    try:
        with heeding(lambda *so_far: told.append(so_far)) as show:
            await anyio.to_thread.run_sync(work, show)
    except asyncio.CancelledError:
        task.uncancel()
        nobody_waits.set()
    assert await anyio.to_thread.run_sync(is_over.wait, 5)
    assert told == [(1, 2)]


async def test_the_next_time_goes_on_from_there_and_says_how_much_is_left(
    store: Store, indexer: Indexer
) -> None:
    await indexer.catch_up()
    learner = learner_of(store, indexer)
    with anyio.CancelScope() as scope:
        await learner.prepare(TEXTS, on_progress=Stopping(scope.cancel))
    told: list[tuple[int, int]] = []
    await learner.prepare(TEXTS, on_progress=lambda *so_far: told.append(so_far))
    left = len(TEXTS) - 512
    assert {total for _, total in told} == {left}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert (told[0][0], told[-1][0]) == (0, left)
    assert kept(store) == len(TEXTS)
