"""What was learned is kept on disk: taken up by the next process, never when it is damaged."""

import logging
from datetime import timedelta
from pathlib import Path

import anyio
import numpy as np
import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import RatingSource
from toolcrib_server.learning.mode import EVERYONE, Sharing
from toolcrib_server.learning.taking_up import TakingUp
from toolcrib_server.routing.desk import RoutingDesk
from toolcrib_server.routing.frozen import Unfreezable, Unreadable, freeze, thaw
from toolcrib_server.routing.learner import RoutingLearner
from toolcrib_server.routing.mode import RoutingMode
from toolcrib_server.routing.selector import RoutedSelector
from toolcrib_server.selection.models import ModelSelector, Objective
from toolcrib_server.sync.indexer import Indexer

from .conftest import START, query, rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "routing"


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def learner_of(store: Store, indexer: Indexer, folder: Path) -> RoutingLearner:
    return RoutingLearner(
        store, indexer.index, mode=RoutingMode.ON, sharing=Sharing.PRINCIPAL, folder=folder
    )


async def learned(store: Store, indexer: Indexer, folder: Path, count: int = 40) -> RoutingLearner:
    await indexer.catch_up()
    learner = learner_of(store, indexer, folder)
    desk = RoutingDesk(store, learner, keep=10_000)
    await desk.record(
        rows(count),
        principal="local",
        tenant=EVERYONE,
        source=RatingSource.IMPORT,
        limited=False,
    )
    await learner.look()
    return learner


async def test_the_next_process_takes_up_what_was_learned_and_chooses_alike(
    store: Store, indexer: Indexer, folder: Path
) -> None:
    first = await learned(store, indexer, folder)
    (file,) = files(folder)
    assert file.stat().st_mode & 0o077 == 0
    assert query("poem", 3).encode() not in file.read_bytes(), "no query's text is kept"

    second = learner_of(store, indexer, folder)
    await second.look()

    here, there = first.policy("local"), second.policy("local")
    assert here is not None
    assert there is not None
    assert there.learned_at == here.learned_at, "it was not learned again"
    encoder = (await indexer.index()).encoder
    vectors = encoder.encode([query("poem", 500), query("sum", 500)])
    texts = [query("poem", 500), query("sum", 500)]
    decided = [p.decide(texts, vectors, allowed=["poet", "clerk"]) for p in (here, there)]
    assert decided[0] == decided[1]
    assert [one.choice.model for one in decided[1]] == ["poet", "clerk"]


def selector_of(store: Store, indexer: Indexer, learner: RoutingLearner) -> RoutedSelector:
    return RoutedSelector(ModelSelector(store, indexer.index), learner, indexer.index)


async def test_the_first_selection_waits_for_what_was_learned_before(
    store: Store, indexer: Indexer, folder: Path
) -> None:
    await learned(store, indexer, folder)
    learner = learner_of(store, indexer, folder)
    learner.expect()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(learner.run)
        selection = await selector_of(store, indexer, learner).select(query("sum", 500))
        assert selection.routing is not None
        assert selection.choices[0].candidate.model.name == "clerk"
        assert not any("without what was learned" in note for note in selection.notes)
        tasks.cancel_scope.cancel()


async def test_a_selection_that_waited_long_enough_says_what_had_no_part_in_it(
    store: Store, indexer: Indexer, folder: Path
) -> None:
    await learned(store, indexer, folder)
    learner = learner_of(store, indexer, folder)
    learner.taking_up = TakingUp(longest_s=0.01)
    learner.expect()
    selector = selector_of(store, indexer, learner)
    said = "Chosen without what was learned from past outcomes: it is still being read."

    asked = await selector.select(query("sum", 500))
    assert asked.routing is None
    assert asked.notes[-1].startswith(said)
    called = await selector.select(query("sum", 500), callable_only=True)
    assert all(choice.reasons[-1].startswith(said) for choice in called.choices)
    cheapest = await selector.select(query("sum", 500), objective=Objective.COST)
    assert not any(note.startswith(said) for note in cheapest.notes), "it had nothing to add"

    await learner.look()
    learner.taking_up.finish()
    later = await selector.select(query("sum", 500))
    assert later.routing is not None
    assert not any(note.startswith(said) for note in later.notes)


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
async def test_what_is_damaged_is_learned_anew_and_the_log_says_so(
    store: Store, indexer: Indexer, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await learned(store, indexer, folder)
    (file,) = files(folder)
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(
        {
            "cut": file.read_bytes()[:-7],
            "flipped": bytes(data),
            "foreign": b"\x80\x04\x95 a pickle",
            "empty": b"",
        }[damage]
    )
    caplog.set_level(logging.WARNING)
    again = learner_of(store, indexer, folder)
    await again.look()
    assert again.policy("local") is not None
    assert "learned anew" in caplog.text
    (mended,) = files(folder)
    assert thaw(mended.read_bytes())


async def test_a_new_outcome_makes_another_fit_in_the_place_of_the_old(
    store: Store, indexer: Indexer, folder: Path
) -> None:
    await learned(store, indexer, folder)
    (old,) = files(folder)
    learner = await learned(store, indexer, folder, count=41)
    (new,) = files(folder)
    assert new.name != old.name
    policy = learner.policy("local")
    assert policy is not None
    assert policy.queries == 82


async def test_nothing_is_left_of_what_was_forgotten(
    store: Store, indexer: Indexer, folder: Path
) -> None:
    learner = await learned(store, indexer, folder)
    beside = learner_of(store, indexer, folder)
    await beside.look()
    desk = RoutingDesk(store, learner, keep=10_000)
    assert await desk.forget(before=learner.now() + timedelta(days=1))
    assert files(folder) == []
    await beside.look()
    assert beside.policy("local") is None


async def test_a_folder_that_cannot_be_written_is_no_reason_not_to_learn(
    store: Store, indexer: Indexer, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "routing").touch()  # a file where the folder should be
    learner = await learned(store, indexer, folder)
    assert learner.policy("local") is not None
    assert "is not kept" in caplog.text


def test_values_come_back_as_they_were_and_nothing_else_is_read() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = {
        "a": (array, array, None, True, 3, float("inf")),
        "b": [START, "text", frozenset({"x", "y"})],
        "n": np.float64(0.5),
    }
    back = thaw(freeze(value))
    assert isinstance(back, dict)
    assert np.array_equal(back["a"][0], array)
    assert back["a"][2:] == (None, True, 3, float("inf"))
    assert back["b"] == value["b"]
    assert back["n"] == 0.5
    with pytest.raises(Unfreezable, match="Path"):
        freeze(Path("x"))
    with pytest.raises(Unfreezable, match="object"):
        freeze(np.array([None, "x"], dtype=object))
    with pytest.raises(Unreadable, match="no kept fit"):
        thaw(b"x" * 200)
