"""Which questions are confirmed, and what searches make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from toolcrib_embeddings.abstention.calibration import Basis
from toolcrib_embeddings.abstention.confirmation import LEAST_CONFIRMED
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Outcome, Verdict
from toolcrib_server.learning.confirming import MOST_CONFIRMED, confirm_by, confirmed_questions
from toolcrib_server.learning.learner import Learner
from toolcrib_server.learning.mode import LearningMode, Sharing
from toolcrib_server.learning.plausibility import UNSEEN
from toolcrib_server.learning.replay import ARMS
from toolcrib_server.sync.indexer import Indexer

from .test_replay import prepared


def asked(store: Store, outcomes: Sequence[Outcome]) -> set[str]:
    retriever, _ = prepared(store, list(outcomes))
    found = confirmed_questions(outcomes, retriever, now=outcomes[-1].at)
    return {one.query for one in found}


def test_a_question_is_confirmed_when_what_was_found_for_it_worked(
    store: Store, lived: list[Outcome]
) -> None:
    outcomes = [
        lived[0],
        replace(lived[1], verdict=Verdict.CHOSEN),
        replace(lived[2], verdict=Verdict.FAILED),
        replace(lived[3], verdict=Verdict.REJECTED),
        replace(lived[4], entry=EntryId("tool:office__gone")),
        replace(lived[5], weight=UNSEEN),
    ]
    assert asked(store, outcomes) == {lived[0].query, lived[1].query}


def test_a_question_that_as_many_speak_against_is_not_confirmed(
    store: Store, lived: list[Outcome]
) -> None:
    slander = replace(lived[0], id="x", principal="liar", verdict=Verdict.FAILED)
    outcomes = [lived[0], lived[1], slander, replace(slander, id="y")]
    assert asked(store, outcomes) == {lived[1].query}
    third = replace(lived[0], id="z", principal="third")
    assert asked(store, [*outcomes, third]) == {lived[0].query, lived[1].query}


def test_old_questions_say_nothing_and_the_newest_are_heard(
    store: Store, lived: list[Outcome]
) -> None:
    old = replace(lived[0], at=lived[-1].at - timedelta(days=181))
    assert old.query not in asked(store, [old, *lived[1:]])
    many = [
        replace(lived[0], id=f"{n:05}", query=f"ledger {n}", at=lived[0].at + timedelta(hours=n))
        for n in range(MOST_CONFIRMED + 10)
    ]
    assert asked(store, many) == {one.query for one in many[10:]}


def test_one_voice_of_a_principal_is_a_question_however_often_it_repeats_itself(
    store: Store, lived: list[Outcome]
) -> None:
    again = [replace(lived[0], id=f"again{n}") for n in range(100)]
    retriever, vectors = prepared(store, again)
    found = confirm_by(again, retriever, vectors, arm=None, now=lived[-1].at)
    assert (found.questions, found.confirmation) == (1, None)


def test_an_adapter_that_has_seen_the_questions_does_not_measure_them(
    store: Store, lived: list[Outcome]
) -> None:
    """An adapter finds what it was trained on more easily than what is new."""
    retriever, vectors = prepared(store, lived)
    adapted = next(arm for arm in ARMS if arm.adapter)
    plain, unseen = (
        confirm_by(lived, retriever, vectors, arm=arm, now=lived[-1].at) for arm in (None, adapted)
    )
    assert plain.confirmation is not None
    assert unseen.confirmation is not None
    assert unseen.questions == plain.questions == 200
    assert unseen.confirmation != plain.confirmation


@pytest.mark.anyio
async def test_searches_of_the_tenant_abstain_by_confirmed_questions_until_they_are_forgotten(
    store: Store, lived: list[Outcome], tmp_path: Path
) -> None:
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    learner = Learner(store, indexer.index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)
    store.record_outcomes(lived)
    await learner.look()

    lessons, index = learner.lessons("anybody"), await indexer.index()
    told = index.search(lived[0].query, k=3, lessons=lessons).grounds
    plain = index.search(lived[0].query, k=3).grounds
    (state,) = await learner.states()

    assert lessons is not None
    assert told is not None
    assert plain is not None
    assert (told.basis, told.questions, told.error_rate) == (Basis.CONFIRMED, 200, 0.02)
    assert plain.basis is not Basis.CONFIRMED
    assert (state.confirmed, state.abstains_by) == (200, "confirmed questions, 200")

    for principal in {one.principal for one in lived}:
        learner.forget(lambda who=principal: store.forget_outcomes(principal=who))
    assert learner.lessons("anybody") is None


@pytest.mark.anyio
async def test_where_nothing_was_learned_that_gains_confirmed_questions_count_all_the_same(
    store: Store, lived: list[Outcome], tmp_path: Path
) -> None:
    found = [
        replace(one, query=f"matter number {n}", entry=EntryId("tool:office__other1"))
        for n, one in enumerate(lived[:80])
    ]
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    learner = Learner(store, indexer.index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)
    store.record_outcomes(found)
    await learner.look()
    lessons = learner.lessons("p")
    assert lessons is not None
    assert lessons.confirmed is not None
    assert lessons.confirmed.questions == 80


@pytest.mark.anyio
async def test_what_learning_waits_for_is_said_with_how_much_there_is(
    store: Store, lived: list[Outcome], tmp_path: Path
) -> None:
    indexer = Indexer(store, open_encoder=HashEncoder, folder=tmp_path / "index")
    learner = Learner(store, indexer.index, mode=LearningMode.ON, sharing=Sharing.EVERYONE)
    store.record_outcomes(lived[:18])
    (state,) = await learner.states()
    assert [str(wait) for wait in state.waits] == ["18 of 50 needed: outcomes for a first replay"]

    await learner.learn("everyone")
    (state,) = await learner.states()
    waits = {wait.what: (wait.have, wait.needed) for wait in state.waits}
    assert waits["new outcomes for the next replay"] == (0, 50)
    assert waits["queries held back to judge by"] == (5, 30)
    (confirmed,) = [value for what, value in waits.items() if what.startswith("confirmed")]
    assert confirmed == (16, LEAST_CONFIRMED)
    assert state.abstains_by == "the registry's own scale"
