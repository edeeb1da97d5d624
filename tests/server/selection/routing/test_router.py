"""Routing: each query to what suits it, never worse than one model, within budget, explained."""

import numpy as np
import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.routing.choice import Preference
from toolcrib_server.selection.routing.guard import DomainGuard
from toolcrib_server.selection.routing.outcomes import OutcomeTable
from toolcrib_server.selection.routing.router import Router


@pytest.fixture(scope="module")
def router(make_outcomes) -> Router:
    return Router.fit(make_outcomes(900))


def picked(router: Router, judged: OutcomeTable, **given) -> np.ndarray:
    places = {name: place for place, name in enumerate(judged.models)}
    answers = router.route(judged.queries, judged.vectors, **given)
    return np.array([places[answer.choice.model or ""] for answer in answers])


def test_it_beats_the_best_single_model(router, make_outcomes):
    judged = make_outcomes(400, seed=1)
    routed = judged.scores[np.arange(400), picked(router, judged)].mean()
    assert routed > judged.scores.mean(axis=0).max() + 0.15


@pytest.mark.parametrize("count", [10, 30, 100])
@pytest.mark.parametrize("seed", range(2))
def test_with_few_outcomes_it_is_never_far_below_the_best_single_model(make_outcomes, count, seed):
    past, judged = make_outcomes(count, seed=seed), make_outcomes(500, seed=50)
    routed = judged.scores[np.arange(500), picked(Router.fit(past), judged)]
    single = judged.scores[:, past.scores.mean(axis=0).argmax()]
    error = (routed - single).std() / np.sqrt(500)
    assert (routed - single).mean() >= -error


def test_the_default_stays_where_nothing_is_gained_for_certain(make_outcomes):
    random = np.random.default_rng(0)
    past = make_outcomes(300)
    same = OutcomeTable(
        queries=past.queries,
        vectors=past.vectors,
        models=past.models,
        scores=(random.random((300, 3)) < 0.5).astype(np.float64),
        costs_usd=past.costs_usd,
        latencies_ms=past.latencies_ms,
    )
    answers = Router.fit(same).route(
        past.queries[:50], past.vectors[:50], preference=Preference(default="clerk")
    )
    assert {answer.choice.model for answer in answers} == {"clerk"}
    assert any("does not take the place" in reason for reason in answers[0].reasons) or all(
        "is the default" in answer.choice.reasons[0] for answer in answers
    )


def test_a_dear_model_gives_way_when_a_dollar_counts(router, make_outcomes):
    judged = make_outcomes(200, seed=1)
    free = picked(router, judged)
    careful = picked(router, judged, preference=Preference(score_per_usd=100.0))
    costs = np.array([0.03, 0.02, 0.001])
    assert costs[careful].mean() < costs[free].mean() / 3


def test_no_choice_is_outside_the_allowed_or_the_budget(router, make_outcomes):
    judged = make_outcomes(100, seed=1)
    within = picked(router, judged, preference=Preference(max_cost_usd=0.025))
    assert 0 not in within
    fast = picked(router, judged, preference=Preference(max_latency_ms=200))
    assert set(fast.tolist()) == {2}
    assert set(picked(router, judged, allowed={"poet", "clerk"}).tolist()) <= {1, 2}


def test_nobody_within_the_budget_is_an_answer_that_says_so(router, make_outcomes):
    judged = make_outcomes(1, seed=1)
    (answer,) = router.route(
        judged.queries, judged.vectors, preference=Preference(max_cost_usd=1e-9)
    )
    assert answer.choice.model is None
    assert "within the budget" in answer.reasons[0]
    assert len(answer.choice.ranked) == 3
    (nobody,) = router.route(judged.queries, judged.vectors, allowed=set())
    assert nobody.choice.model is None


def test_outside_every_domain_the_default_is_kept(make_outcomes):
    past = make_outcomes(300)
    here = [row for row, query in enumerate(past.queries) if query.endswith("0")]
    guard = DomainGuard.fit({"code": ([past.queries[r] for r in here], past.vectors[here])})
    router = Router.fit(past, guard=guard)
    (answer,) = router.route(
        ["else"], -past.vectors[here[:1]], preference=Preference(default="clerk")
    )
    assert answer.domain is not None
    assert answer.domain.domain is None
    assert answer.choice.model == "clerk"
    assert "Outside every domain" in answer.reasons[1]


def test_every_expectation_says_what_it_rests_on(router, make_outcomes):
    judged = make_outcomes(1, seed=1)
    (answer,) = router.route(judged.queries, judged.vectors)
    for one in answer.choice.ranked:
        assert one.low <= one.quality <= one.high
        assert one.outcomes == 900
        assert "from 900 outcomes" in one.reason
        assert one.cost_usd is not None
    assert any(one.on_front for one in answer.choice.ranked)
    assert answer.margin.judged == 900


def test_a_price_stands_in_where_no_cost_was_measured(make_outcomes):
    past = make_outcomes(100)
    unpriced = OutcomeTable(
        queries=past.queries,
        vectors=past.vectors,
        models=past.models,
        scores=past.scores,
        costs_usd=np.full_like(past.scores, np.nan),
        latencies_ms=np.full_like(past.scores, np.nan),
    )
    router = Router.fit(unpriced)
    (answer,) = router.route(past.queries[:1], past.vectors[:1], prices={"clerk": 0.002})
    costs = {one.model: one.cost_usd for one in answer.choice.ranked}
    assert costs == {"clerk": 0.002, "coder": None, "poet": None}


def test_a_weight_below_zero_is_refused(router, make_outcomes):
    judged = make_outcomes(1)
    with pytest.raises(InvalidInput, match="score_per_usd"):
        router.route(judged.queries, judged.vectors, preference=Preference(score_per_usd=-1))
