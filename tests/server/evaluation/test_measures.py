"""Measures against values worked out by hand."""

from math import log2

import pytest

from toolcrib_server.evaluation.judgements import Judgements
from toolcrib_server.evaluation.measures import MEASURES, Judged, judge, not_found
from toolcrib_server.evaluation.trial import Answered


def answered(query: str, *found: str) -> Answered:
    return Answered(query, found, 1.0, None, reranked=False, abstained=False)


def scores(judged: Judged, row: int = 0) -> dict[str, float]:
    return dict(zip(MEASURES, judged.values[row].tolist(), strict=True))


def test_graded_relevance_is_judged_as_by_hand() -> None:
    judgements: Judgements = {"q": {"a": 2, "b": 1, "c": 1, "n": 0}}
    got = scores(judge([answered("q", "x", "a", "n", "b")], judgements, k=10))
    ideal = 2 + 1 / log2(3) + 1 / log2(4)
    gained = 2 / log2(3) + 1 / log2(5)
    assert got == pytest.approx(
        {
            "ndcg@1": 0.0,
            "ndcg@5": gained / ideal,
            "ndcg@10": gained / ideal,
            "recall@1": 0.0,
            "recall@5": 2 / 3,
            "recall@10": 2 / 3,
            "mrr": 1 / 2,
            "completeness@10": 0.0,
        }
    )


def test_a_perfect_answer_scores_one_where_it_can() -> None:
    got = scores(judge([answered("q", "a", "b")], {"q": {"a": 1, "b": 1}}, k=10))
    assert got.pop("recall@1") == pytest.approx(1 / 2)
    assert set(got.values()) == {1.0}


def test_measures_stop_at_their_depth() -> None:
    found = [f"x{i}" for i in range(9)] + ["a", "b"]
    got = scores(judge([answered("q", *found)], {"q": {"a": 1, "b": 1}}, k=11))
    assert got["recall@5"] == 0
    assert got["recall@10"] == pytest.approx(1 / 2)
    assert got["ndcg@10"] == pytest.approx((1 / log2(11)) / (1 + 1 / log2(3)))
    assert got["completeness@10"] == 0
    assert got["mrr"] == pytest.approx(1 / 10)


def test_a_query_that_got_nothing_scores_nothing_and_counts() -> None:
    judgements = {"p": {"a": 1}, "q": {"a": 1}}
    judged = judge([answered("p"), answered("q", "a")], judgements, k=10)
    assert set(scores(judged, 0).values()) == {0.0}
    assert set(scores(judged, 1).values()) == {1.0}
    assert judged.curve.tolist() == [0.5] * 10


def test_the_order_is_the_ranking_and_not_the_names() -> None:
    for found in (("a", "b"), ("b", "a")):
        got = scores(judge([answered("q", *found)], {"q": {"a": 1}}, k=10))
        assert got["mrr"] == 1 / (1 + found.index("a"))


def test_recall_is_told_at_every_depth() -> None:
    judged = judge([answered("q", "a", "x", "b")], {"q": {"a": 1, "b": 1}}, k=12)
    assert judged.curve.tolist() == [0.5, 0.5] + [1.0] * 10


def test_what_was_missed_is_listed() -> None:
    judgements = {"q": {"a": 1, "b": 2, "n": 0}}
    assert list(not_found(answered("q", "a", "x"), judgements)) == ["b"]
