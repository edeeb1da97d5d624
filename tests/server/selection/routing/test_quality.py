"""Expected quality: finds what suits which query, says how sure it is, and falls back to means."""

import numpy as np
import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.routing.outcomes import OutcomeTable
from toolcrib_server.selection.routing.profile import Profile, expect_means, weigh_likeness
from toolcrib_server.selection.routing.quality import QualityPredictor


def chosen_right(predictor: QualityPredictor, judged: OutcomeTable) -> float:
    expected = predictor.predict(judged.queries, judged.vectors)
    kinds = np.array([int(query[-1]) for query in judged.queries])
    return float((expected.means.argmax(axis=1) == kinds).mean())


def test_it_finds_which_model_suits_a_query_that_it_never_saw(make_outcomes):
    predictor = QualityPredictor.fit(make_outcomes(900))
    assert chosen_right(predictor, make_outcomes(300, seed=1)) > 0.9
    assert predictor.weights["domains"] + predictor.weights["neighbours"] > 0.3


def test_it_learns_from_one_model_tried_on_each_query(make_outcomes):
    predictor = QualityPredictor.fit(make_outcomes(1200, known=0.34))
    assert chosen_right(predictor, make_outcomes(300, seed=1)) > 0.85


def test_expected_scores_come_true(make_outcomes):
    predictor = QualityPredictor.fit(make_outcomes(900))
    judged = make_outcomes(600, seed=1)
    expected = predictor.predict(judged.queries, judged.vectors)
    assert abs(expected.means - judged.scores).mean() < 0.48
    likely = expected.means > 0.6
    assert abs(judged.scores[likely].mean() - expected.means[likely].mean()) < 0.06


def test_far_from_every_past_query_it_is_less_sure(make_outcomes):
    past = make_outcomes(600, kinds=1)
    predictor = QualityPredictor.fit(past)
    far = -past.vectors[:1]
    near, away = (predictor.predict(past.queries[:1], v) for v in (past.vectors[:1], far))
    assert (away.spreads > 1.2 * near.spreads).all()
    assert (away.evidence < near.evidence).all()


def test_more_outcomes_make_it_surer(make_outcomes):
    few, many = (QualityPredictor.fit(make_outcomes(count)) for count in (60, 900))
    judged = make_outcomes(20, seed=1)
    assert (
        many.predict(judged.queries, judged.vectors).spreads.mean()
        < few.predict(judged.queries, judged.vectors).spreads.mean()
    )


def test_the_same_outcomes_and_seed_give_the_same_expectations(make_outcomes):
    past, judged = make_outcomes(200), make_outcomes(20, seed=1)
    one, other = (QualityPredictor.fit(past, seed=3) for _ in range(2))
    np.testing.assert_array_equal(
        one.predict(judged.queries, judged.vectors).means,
        other.predict(judged.queries, judged.vectors).means,
    )


def test_without_outcomes_descriptors_are_all_there_is(make_outcomes):
    nothing = make_outcomes(3)
    nothing = OutcomeTable.of(
        [], queries=nothing.queries[:0], vectors=nothing.vectors[:0], models=("big", "small")
    )
    profiles = {
        "big": Profile(name="big", parameters_b=70, price_usd=1.0),
        "small": Profile(name="small", parameters_b=1, price_usd=0.1),
    }
    predictor = QualityPredictor.fit(nothing, profiles=profiles)
    expected = predictor.predict(["what?"], np.full((1, 16), 0.25, dtype=np.float32))
    assert expected.means[0, 0] > expected.means[0, 1]
    assert (expected.spreads >= 0.19).all()


def test_a_new_model_starts_from_the_ones_it_is_like(make_outcomes):
    past = make_outcomes(900)
    nan = np.full((900, 1), np.nan)
    wider = OutcomeTable(
        queries=past.queries,
        vectors=past.vectors,
        models=(*past.models, "coder-2"),
        scores=np.hstack([past.scores, nan]),
        costs_usd=np.hstack([past.costs_usd, nan]),
        latencies_ms=np.hstack([past.latencies_ms, nan]),
    )
    sizes = {"coder": 30.0, "poet": 3.0, "clerk": 0.5, "coder-2": 32.0}
    families = {"coder": "code", "coder-2": "code"}
    profiles = {
        name: Profile(name=name, family=families.get(name), parameters_b=size)
        for name, size in sizes.items()
    }
    predictor = QualityPredictor.fit(wider, profiles=profiles)
    judged = make_outcomes(200, seed=1)
    expected = predictor.predict(judged.queries, judged.vectors)
    of_code = np.array([query.endswith("0") for query in judged.queries])
    assert expected.means[of_code, 3].mean() > expected.means[~of_code, 3].mean() + 0.05
    assert expected.spreads[:, 3].min() > expected.spreads[:, 0].mean()
    assert predictor.counts[3] == 0


def test_no_model_is_refused(make_outcomes):
    table = OutcomeTable.of([], queries=(), vectors=np.zeros((0, 4), dtype=np.float32), models=())
    with pytest.raises(InvalidInput, match="no model"):
        QualityPredictor.fit(table)


def test_published_evaluations_say_what_to_expect_where_nothing_is_measured():
    profiles = [Profile(name="a", evaluation=0.9), Profile(name="b", evaluation=0.3)]
    means = expect_means(profiles, np.array([np.nan, np.nan]))
    assert means.tolist() == [0.9, 0.3]


def test_likeness_sums_to_one_and_favours_the_family():
    one = Profile(name="x", family="f", parameters_b=8)
    others = [Profile(name="y", family="f", parameters_b=8), Profile(name="z", parameters_b=400)]
    (likeness,) = weigh_likeness([one], others)
    assert likeness.sum() == pytest.approx(1)
    assert likeness[0] > 2 * likeness[1]
