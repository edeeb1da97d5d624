from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import FloatVector
from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION
from toolcrib_embeddings.learning.lessons import Lessons
from toolcrib_embeddings.queries.negation import read_query
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Outcome, Verdict
from toolcrib_server.learning.library import documents, query_vectors, vectors_of
from toolcrib_server.learning.replay import (
    ARMS,
    Report,
    Vectors,
    gain_of,
    ndcg,
    replay,
    split_by_time,
)
from toolcrib_server.learning.retrieval import IndexRetriever

A, B, C = (EntryId(f"tool:{name}") for name in "abc")


def prepared(store: Store, outcomes: list[Outcome]) -> tuple[IndexRetriever, Vectors]:
    encoder = HashEncoder()
    queries = query_vectors(store, encoder, outcomes)
    corpus = documents(store, encoder, DEFAULT_REPRESENTATION, store.iter_entries(live=True))
    texts: dict[str, FloatVector] = {
        read_query(one.query).text: queries[one.query_hash] for one in outcomes
    }
    return IndexRetriever(corpus, encoder, texts), vectors_of(encoder, queries, corpus)


def replayed(store: Store, outcomes: list[Outcome]) -> Report:
    return replay(outcomes, *prepared(store, outcomes))


def test_what_use_teaches_shows_as_gain(store: Store, lived: list[Outcome]) -> None:
    report = replayed(store, lived)

    assert (report.learned_from, report.cases) == (140, 60)
    assert [gain.arm for gain in report.gains] == [arm.name for arm in ARMS]
    for gain in report.gains:
        assert gain.low > 0.1, gain
        assert gain.low <= gain.gain <= gain.high
        assert gain.after == pytest.approx(report.before + gain.gain)


def test_outcomes_without_a_pattern_show_none(store: Store, lived: list[Outcome]) -> None:
    entries = [EntryId(f"tool:office__other{number}") for number in range(20)]
    draw = random.Random(7)
    noise = [replace(one, entry=draw.choice(entries), weight=0.1) for one in lived]
    report = replayed(store, noise)
    assert all(gain.low <= 0 for gain in report.gains)


def test_a_replay_says_the_same_each_time(store: Store, lived: list[Outcome]) -> None:
    assert replayed(store, lived) == replayed(store, list(reversed(lived)))


def test_only_newer_queries_judge_and_none_that_was_asked_before(lived: list[Outcome]) -> None:
    again = [replace(lived[0], id="z", at=lived[-1].at)]
    older, cases = split_by_time([*lived, *again])
    asked = {one.query_hash for one in older}
    assert asked.isdisjoint({case.query_hash for case in cases})
    assert again[0] in older
    assert max(o.at for o in older if o.id != "z") < min(
        o.at for o in lived if o.query_hash not in asked
    )


def test_what_failed_is_no_answer_to_judge_by(lived: list[Outcome]) -> None:
    failed = [replace(one, verdict=Verdict.FAILED) for one in lived]
    assert split_by_time(failed)[1] == []


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_part_gives_an_empty_report(
    store: Store, lived: list[Outcome], count: int
) -> None:
    assert replayed(store, lived[:count]) == Report(learned_from=count, cases=0)


def test_ndcg_scores_a_ranking_as_it_is_defined() -> None:
    assert ndcg([A, B], frozenset([A, B])) == 1
    assert ndcg([C, A], frozenset([A])) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg([C], frozenset([A])) == 0
    assert ndcg([A], frozenset()) == 0
    assert ndcg([C] * 10 + [A], frozenset([A])) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_a_constant_gain_has_a_narrow_interval(before: list[float]) -> None:
    gain = gain_of("x", before, [score + 0.25 for score in before])
    assert (gain.low, gain.gain, gain.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_search_is_turned_only_by_the_adapter_it_is_given(
    store: Store, lived: list[Outcome]
) -> None:
    from toolcrib_embeddings.learning.adapter import train_adapter

    retriever, vectors = prepared(store, lived)
    adapter = train_adapter(lived, vectors.queries, vectors.entries, encoder_id="x")
    query = lived[0].query

    lessons = Lessons("everyone", "1", adapter)
    plain = retriever.search(query, k=5)
    turned = retriever.search(query, k=5, lessons=lessons)

    assert turned.ids[0] == lived[0].entry
    assert plain.ids != turned.ids
    assert retriever.search(query, k=5) == plain
    assert retriever.search("never seen umbrella", k=5, lessons=lessons).hits
    assert lived[0].entry in retriever
    assert A not in retriever
