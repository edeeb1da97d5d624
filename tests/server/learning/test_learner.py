from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import numpy as np
import pytest

from toolcrib_embeddings import FloatMatrix, SearchIndex
from toolcrib_embeddings.encoding.encoder import Progress
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError, InvalidInput, NotFound, NotPermitted
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, Learned, Outcome, Verdict
from toolcrib_server.learning.desk import FeedbackDesk
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.library import query_vectors
from toolcrib_server.learning.mode import EVERYONE, LearningMode, Sharing
from toolcrib_server.learning.recorder import OutcomeLog
from toolcrib_server.learning.standing import arm_in_use
from toolcrib_server.sync.indexer import Indexer

pytestmark = pytest.mark.anyio


@pytest.fixture
def indexer(store: Store, tmp_path: Path) -> Indexer:
    """Keep an index of the store."""
    return Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")


def learner_of(store: Store, indexer: Indexer, mode: LearningMode = LearningMode.ON) -> Learner:
    return Learner(store, indexer.index, mode=mode, sharing=Sharing.EVERYONE)


async def test_what_gains_is_used_by_every_principal_of_the_tenant(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    assert learner.lessons("user-1") is None

    await learner.look()

    lessons = learner.lessons("user-1")
    assert lessons is not None
    assert lessons is learner.lessons("anybody")
    asked = HashEncoder().encode(["umbrella gust"])[0]
    now = lived[-1].at + timedelta(days=1)
    turned = lessons.turn(asked)
    said = lessons.evidence(asked, now=now)
    right = EntryId("tool:office__weather")
    assert lessons.adapter is None or float(turned @ asked) < 0.999
    assert lessons.memory is None or max(said, key=lambda entry: said[entry]) == right
    assert lessons.adapter or lessons.memory


async def test_what_is_ready_is_not_made_again_until_something_changed(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived[:150])
    learner = learner_of(store, indexer)
    await learner.look()
    first = learner.lessons("p")
    await learner.look()
    assert learner.lessons("p") is first

    store.record_outcomes(lived[150:160])
    await learner.look()
    second = learner.lessons("p")
    assert first is not None
    assert second is not None
    assert second.version != first.version
    judged = store.find_learned(EVERYONE, HashEncoder().id)
    assert judged is not None
    assert judged.report["outcomes"] == 150

    store.record_outcomes(lived[160:])
    await learner.look()
    again = store.find_learned(EVERYONE, HashEncoder().id)
    assert again is not None
    assert again.report["outcomes"] == 200


async def test_a_tenant_is_judged_again_after_a_day_though_its_outcomes_are_as_many(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    times = [lived[-1].at]
    learner = Learner(
        store,
        indexer.index,
        mode=LearningMode.ON,
        sharing=Sharing.EVERYONE,
        now=lambda: times[-1],
    )
    judged: list[object] = []
    for hours in (0, 23, 25):
        times.append(lived[-1].at + timedelta(hours=hours))
        await learner.look()
        learned = store.find_learned(EVERYONE, HashEncoder().id)
        judged.append(learned.at if learned else None)
    assert judged == [times[1], times[1], times[3]]


async def test_it_learns_by_itself_and_goes_on_after_a_failure(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    failures = [EncoderError("the model is away")]

    async def index() -> SearchIndex:
        if failures:
            raise failures.pop()
        return await indexer.index()

    learner = Learner(store, index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(learner.run, interval_s=0.01))
        with anyio.fail_after(30):
            while learner.lessons("p") is None:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert failures == []


async def test_too_few_outcomes_are_not_judged(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived[:49])
    learner = learner_of(store, indexer)
    await learner.look()
    (state,) = await learner.states()
    assert (state.outcomes, state.in_use, state.reason) == (49, None, "not replayed yet")


@pytest.mark.parametrize("mode", [LearningMode.OFF, LearningMode.RECORD])
async def test_nothing_is_used_where_it_is_off(
    store: Store, indexer: Indexer, lived: list[Outcome], mode: LearningMode
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer, mode)
    await learner.look()
    assert learner.lessons("p") is None
    await learner.learn(EVERYONE)
    (state,) = await learner.states()
    assert state.in_use is None
    assert f"TOOLCRIB_LEARNING={mode} uses nothing" in state.reason
    assert learner.lessons("p") is None


async def test_forgetting_takes_the_lessons_with_it(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    log = OutcomeLog(store, mode=LearningMode.ON, sharing=Sharing.EVERYONE, keep=1_000)
    desk = FeedbackDesk(store, log, learner, nothing_recalled)
    await learner.look()
    assert learner.lessons("p") is not None

    assert await desk.forget(tenant=EVERYONE) == 200

    assert learner.lessons("p") is None
    await learner.look()
    assert learner.lessons("p") is None
    assert await desk.states() == ()
    with pytest.raises(InvalidInput):
        await desk.forget()


async def test_another_process_stops_using_what_was_forgotten_at_its_next_look(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    await learner.look()
    before = learner.lessons("p")

    store.forget_outcomes(principal="user-3")
    await learner.look(learn=False)
    assert learner.lessons("p") is None
    await learner.look()
    after = learner.lessons("p")

    assert before is not None
    assert after is not None
    assert after.version != before.version


async def test_one_that_turned_bad_is_dropped_at_the_next_judgement(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    assert arm_in_use(await learner.learn(EVERYONE)) is not None

    later = timedelta(days=1)
    wrong = EntryId("tool:office__other3")
    store.record_outcomes(
        [
            replace(one, id=f"x{one.id}", at=one.at + later, query=f"{one.query} now", entry=wrong)
            for one in lived
        ]
    )
    judged = await learner.learn(EVERYONE)
    assert judged.report["cases"] > 30
    assert "points NDCG@10" in judged.report["reason"]


async def test_feedback_names_an_entry_and_is_weighed_by_what_search_recalls(
    store: Store, indexer: Indexer
) -> None:
    log = OutcomeLog(store, mode=LearningMode.FEEDBACK, sharing=Sharing.PRINCIPAL, keep=1_000)
    desk = FeedbackDesk(store, log, learner_of(store, indexer), nothing_recalled)

    outcome = await desk.tell("key-1", "pay it", "office__invoice", Verdict.WORKED)

    assert (outcome.entry, outcome.tenant) == ("tool:office__invoice", "key-1")
    assert outcome.weight < 1
    with pytest.raises(NotFound, match="office__invoice"):
        await desk.tell("key-1", "pay it", "office__invoyce", Verdict.WORKED)
    with pytest.raises(InvalidInput):
        await desk.tell("key-1", " ", "office__invoice", Verdict.WORKED)
    assert store.count_outcomes() == {"key-1": 1}


async def nothing_recalled(_: str) -> list[EntryId]:
    return []


def test_an_arm_of_a_later_release_is_none(lived: list[Outcome]) -> None:
    learned = Learned(tenant="t", encoder_id="e", at=lived[0].at, report={"inUse": "magic"})
    assert arm_in_use(learned) is None
    assert arm_in_use(None) is None


def broken_adapter(learned: Learned) -> Learned:
    return replace(learned, adapter=b"broken", report={**learned.report, "inUse": "both-2"})


@pytest.mark.parametrize("spoil", ["adapter", "verdict"])
async def test_what_is_broken_of_one_tenant_does_not_stop_the_others(
    store: Store,
    lived: list[Outcome],
    spoil: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    spoilt = [replace(one, id=f"b{one.id}", tenant="broken") for one in lived]
    store.record_outcomes([*lived, *spoilt])
    learner = Learner(store, indexer.index, mode=LearningMode.ON, sharing=Sharing.PRINCIPAL)
    learned = await learner.learn("broken")
    if spoil == "adapter":
        store.put_learned(broken_adapter(learned))
    else:
        with closing(sqlite3.connect(tmp_path / "toolcrib.db")) as raw, raw:
            raw.execute("UPDATE outcomes SET verdict = 'zzz' WHERE id = 'b0003'")
            raw.execute("DELETE FROM learned")

    await wait_for_lessons(learner, EVERYONE)

    assert learner.lessons("broken") is None
    assert "Learning of broken waits" in caplog.text
    assert lived[3].query not in caplog.text
    assert "zzz" not in caplog.text


async def wait_for_lessons(learner: Learner, principal: str) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(learner.run, interval_s=0.01))
        with anyio.fail_after(30):
            while learner.lessons(principal) is None:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_it_goes_on_after_a_failure_that_nobody_foresaw(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    failures = [RuntimeError("of the machine")]

    async def index() -> SearchIndex:
        if failures:
            raise failures.pop()
        return await indexer.index()

    learner = Learner(store, index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)
    await wait_for_lessons(learner, "p")
    assert failures == []


async def test_a_report_that_is_none_is_made_anew(
    store: Store, indexer: Indexer, lived: list[Outcome], tmp_path: Path
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    await learner.learn(EVERYONE)
    with closing(sqlite3.connect(tmp_path / "toolcrib.db")) as raw, raw:
        raw.execute("UPDATE learned SET report = '[1, 2]'")
    await learner.look()
    assert learner.lessons("p") is not None


@pytest.mark.parametrize(
    "kept", [bytes(8), b"", np.full(HashEncoder().dimension, np.nan, "<f4").tobytes()]
)
async def test_a_broken_vector_of_a_query_is_encoded_again(
    store: Store, indexer: Indexer, lived: list[Outcome], kept: bytes
) -> None:
    encoder = HashEncoder()
    store.record_outcomes(lived)
    store.put_embeddings(encoder.id, {lived[0].query_hash: kept})
    vectors = query_vectors(store, encoder, lived)
    assert vectors[lived[0].query_hash].tolist() == encoder.encode([lived[0].query])[0].tolist()
    assert store.get_embeddings(encoder.id, [lived[0].query_hash]) != {lived[0].query_hash: kept}
    learner = learner_of(store, indexer)
    await learner.look()
    assert learner.lessons("p") is not None


async def test_what_is_forgotten_during_a_replay_is_neither_kept_nor_used(
    store: Store, indexer: Indexer, lived: list[Outcome], tmp_path: Path
) -> None:
    store.record_outcomes(lived)
    replaying, may_go = Event(), Event()

    class WaitingStore(Store):
        """A store whose last read before the replay waits."""

        def iter_entries(self, **chosen: Any) -> Iterator[Entry]:
            replaying.set()
            assert may_go.wait(30)
            return super().iter_entries(**chosen)

    waiting = WaitingStore(f"sqlite:///{tmp_path}/toolcrib.db")
    learner = learner_of(waiting, indexer)
    log = OutcomeLog(waiting, mode=LearningMode.ON, sharing=Sharing.EVERYONE, keep=1_000)
    desk = FeedbackDesk(waiting, log, learner, nothing_recalled)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(learner.look)
        await anyio.to_thread.run_sync(replaying.wait, 10)
        assert await desk.forget(principal="user-3") == 20
        may_go.set()
    waiting.close()

    assert store.find_learned(EVERYONE, HashEncoder().id) is None
    assert learner.lessons("p") is None


async def test_what_another_process_forgets_during_a_replay_is_not_kept(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)

    def forget(done: int, _: int) -> None:
        if done == 1:
            store.forget_outcomes(principal="user-3")

    with pytest.raises(NotPermitted, match="forgotten while"):
        await learner.learn(EVERYONE, on_progress=forget)
    assert store.find_learned(EVERYONE, HashEncoder().id) is None


async def test_the_oldest_may_make_room_during_a_replay(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived[:150])

    def crowd(done: int, _: int) -> None:
        if done == 1:
            store.record_outcomes(lived[150:160], keep=150)

    await learner_of(store, indexer).learn(EVERYONE, on_progress=crowd)
    assert store.find_learned(EVERYONE, HashEncoder().id) is not None


async def test_forgetting_leaves_the_lessons_of_other_tenants(
    store: Store, indexer: Indexer, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)
    learner = learner_of(store, indexer)
    log = OutcomeLog(store, mode=LearningMode.ON, sharing=Sharing.EVERYONE, keep=1_000)
    desk = FeedbackDesk(store, log, learner, nothing_recalled)
    await learner.look()
    before = learner.lessons("p")
    assert before is not None
    assert await desk.forget(principal="nobody", tenant=EVERYONE) == 0
    assert learner.lessons("p") is before
    assert store.find_learned(EVERYONE, HashEncoder().id) is not None


async def test_vectors_of_queries_go_with_them_even_when_forgotten_while_encoding(
    store: Store, lived: list[Outcome]
) -> None:
    store.record_outcomes(lived)

    class ForgettingEncoder(HashEncoder):
        """Encodes while another process forgets."""

        def encode(
            self, texts: Sequence[str], *, on_progress: Progress | None = None
        ) -> FloatMatrix:
            store.forget_outcomes(principal="user-3")
            return super().encode(texts, on_progress=on_progress)

    encoder = ForgettingEncoder()
    assert len(query_vectors(store, encoder, lived)) == 200
    kept = store.get_embeddings(encoder.id, [one.query_hash for one in lived])
    assert kept.keys() == {one.query_hash for one in lived if one.principal != "user-3"}
