"""A process takes up what was learned before it; its first searches wait for that, not for long."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.store import Store
from toolcrib_registry.types import Outcome
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.mode import LearningMode, Sharing
from toolcrib_server.learning.taking_up import TakingUp
from toolcrib_server.selection.question import Rerank, Stages
from toolcrib_server.selection.selector import Selector
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio

QUERY = "drizzle umbrella case 999"
STAGES = Stages(rerank=Rerank.OFF)


@pytest.fixture
def indexer(store: Store, tmp_path: Path) -> Indexer:
    return Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")


@pytest.fixture
async def learned(store: Store, indexer: Indexer, lived: list[Outcome]) -> Store:
    """Have an earlier process learn what no tool's description says."""
    store.record_outcomes(lived)
    await learner_of(store, indexer).look()
    return store


def learner_of(store: Store, indexer: Indexer) -> Learner:
    return Learner(store, indexer.index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)


def selector_of(store: Store, indexer: Indexer, learner: Learner) -> Selector:
    lessons, taken_up = learner.lessons, learner.taking_up.wait
    return Selector(store, indexer.index, lessons=lessons, taken_up=taken_up)


async def test_the_first_search_waits_for_what_was_learned_before(
    learned: Store, indexer: Indexer
) -> None:
    learner = learner_of(learned, indexer)
    learner.expect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(learner.run)
        answer = await selector_of(learned, indexer, learner).search(QUERY, stages=STAGES)
        assert answer.found[0].entry.name == "office__weather"
        assert answer.notice is None
        tasks.cancel_scope.cancel()


async def test_a_search_that_waited_long_enough_says_what_had_no_part_in_it(
    learned: Store, indexer: Indexer
) -> None:
    learner = learner_of(learned, indexer)
    learner.taking_up = TakingUp(longest_s=0.01)
    learner.expect()
    selector = selector_of(learned, indexer, learner)
    said = "Found without what was learned from use: it is still being read. Ask again in a moment."
    assert (await selector.search(QUERY, stages=STAGES)).notice == said

    await learner.look(learn=False)
    learner.taking_up.finish()
    later = await selector.search(QUERY, stages=STAGES)
    assert later.notice is None
    assert later.found[0].entry.name == "office__weather"


async def test_all_who_wait_wait_once() -> None:
    taking_up = TakingUp(longest_s=0.05)
    assert await taking_up.wait() is None, "no look was announced"
    taking_up.expect()
    began_s = anyio.current_time()
    for _ in range(100):
        assert "still being read" in str(await taking_up.wait())
    assert anyio.current_time() - began_s < 1


async def test_a_failure_is_told_until_a_look_succeeds_and_never_after() -> None:
    taking_up = TakingUp()
    taking_up.expect()
    taking_up.finish("the database is locked")
    assert await taking_up.wait() == "the database is locked"
    taking_up.finish()
    assert await taking_up.wait() is None
    taking_up.finish("the database is locked again")
    assert await taking_up.wait() is None, "what was taken up is still in use"
