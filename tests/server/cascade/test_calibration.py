"""A threshold is learned only from enough ratings, and only if what it accepts was right."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.types import ModelOutcome, RatingSource
from toolcrib_server.cascade.calibration import (
    DEFAULT_ACCEPT,
    ENOUGH,
    WANTED_RIGHT,
    learn_threshold,
    lower_bound,
    pairs_of,
)

PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 1 / 3, 2 / 3, 1.0]), st.booleans()), max_size=200)


def outcome(query, score, source, model="small"):
    return ModelOutcome(
        id=f"{query}{source}",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        tenant="everyone",
        principal="local",
        query=query,
        model=model,
        score=score,
        source=source,
    )


def test_without_enough_ratings_the_default_stands_and_says_how_many_there_are():
    threshold = learn_threshold([(1.0, True)] * (ENOUGH - 1))
    assert threshold.score == DEFAULT_ACCEPT
    assert f"{ENOUGH - 1} of {ENOUGH}" in threshold.reason


def test_the_least_score_whose_answers_were_right_is_taken():
    wrong, right = [(1 / 3, False)] * 20, [(2 / 3, True)] * 30 + [(1.0, True)] * 30
    assert learn_threshold(wrong + right).score == 2 / 3


def test_where_nothing_was_right_only_a_full_score_is_accepted():
    threshold = learn_threshold([(1 / 3, False)] * 50 + [(1.0, False)] * 50)
    assert threshold.score == 1.0
    assert "too few were right" in threshold.reason


@given(PAIRS)
def test_what_is_accepted_was_right_as_often_as_is_wanted_or_only_full_scores_are(pairs):
    threshold = learn_threshold(pairs)
    accepted = [right for score, right in pairs if score >= threshold.score]
    if len(pairs) >= ENOUGH and threshold.score < 1:
        assert sum(accepted) / len(accepted) >= WANTED_RIGHT
    assert 0 <= threshold.score <= 1


def test_the_bound_is_that_of_wilson():
    assert lower_bound(0, 0) == 0
    assert round(lower_bound(9, 10), 4) == 0.7175
    assert lower_bound(10, 10) < 1


def test_checks_are_matched_with_ratings_of_the_same_answer_only():
    outcomes = [
        outcome("a", 1.0, RatingSource.VERIFIER),
        outcome("a", 0.0, RatingSource.FEEDBACK),
        outcome("b", 0.5, RatingSource.VERIFIER),
        outcome("c", 1.0, RatingSource.FEEDBACK),
        outcome("a", None, RatingSource.IMPORT),
        outcome("b", 1.0, RatingSource.FEEDBACK, model="big"),
    ]
    assert pairs_of(outcomes) == [(1.0, False)]
