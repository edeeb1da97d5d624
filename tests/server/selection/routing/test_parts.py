"""The parts of a prediction, each by itself: what it must never get wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.selection.routing.arrays import blocks, contrast, folds
from toolcrib_server.selection.routing.clusters import Clusters
from toolcrib_server.selection.routing.features import count_words, read_features
from toolcrib_server.selection.routing.kernel import KernelRidge
from toolcrib_server.selection.routing.linear import Ridge
from toolcrib_server.selection.routing.margin import learn_margin
from toolcrib_server.selection.routing.neighbours import Neighbours
from toolcrib_server.selection.routing.outcomes import Observation, OutcomeTable
from toolcrib_server.selection.routing.pareto import on_front
from toolcrib_server.selection.routing.stacking import fit_weights
from toolcrib_server.selection.routing.targets import Targets
from toolcrib_server.selection.routing.usage import Usage

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("text", ["", " ", "\n\n", "é😀", "x" * 20_000, "\ud800", "a\x00b"])
def test_any_text_has_the_same_number_of_finite_features(text):
    features = read_features([text, "What is 2 + 2?"])
    assert features.shape[1] > 30
    assert np.isfinite(features).all()
    assert count_words(text) >= 0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is(count, seed):
    random = np.random.default_rng(seed)
    quality = random.integers(0, 4, count) / 4
    cost = np.where(random.random(count) < 0.2, np.nan, random.integers(0, 4, count))
    latency = np.where(random.random(count) < 0.2, np.nan, random.integers(0, 4, count))
    front = on_front(quality.astype(float), cost.astype(float), latency.astype(float))
    worst = [np.nan_to_num(v.astype(float), nan=np.inf, posinf=np.inf) for v in (cost, latency)]
    losses = [(-q, c, t) for q, c, t in zip(quality, *worst, strict=True)]

    def beaten(own: tuple[float, ...]) -> bool:
        return any(o != own and all(a <= b for a, b in zip(o, own, strict=True)) for o in losses)

    assert front.tolist() == [not beaten(own) for own in losses]


def test_blocks_put_together_what_is_known_in_the_same_rows():
    known = np.array([[True, True, False], [True, True, True]])
    found = [(rows.tolist(), columns.tolist()) for rows, columns in blocks(known)]
    assert sorted(found) == [([False, True], [2]), ([True, True], [0, 1])]


def test_folds_are_of_the_same_size_and_repeatable():
    parts = folds(103, parts=5, seed=1)
    assert np.bincount(parts).max() - np.bincount(parts).min() <= 1
    assert (parts == folds(103, parts=5, seed=1)).all()


def test_ridge_recovers_a_line_and_leaves_unknown_rows_out():
    points = RANDOM.normal(size=(400, 5)).astype(np.float32)
    truth = points.astype(np.float64) @ np.array([[1.0], [0], [-2], [0], [0.5]])
    truth[::3] = np.nan
    fitted = Ridge.fit(points, truth, penalty=0.01)
    known = ~np.isnan(truth)
    np.testing.assert_allclose(fitted.predict(points)[known], truth[known], atol=0.01)


def test_a_kernel_is_sure_near_what_it_saw_and_not_beyond():
    points = RANDOM.normal(size=(300, 4)).astype(np.float32)
    wanted = np.sin(points[:, :1].astype(np.float64))
    fitted = KernelRidge.fit(points, wanted, seed=0)
    assert np.corrcoef(fitted.predict(points)[:, 0], wanted[:, 0])[0, 1] > 0.9
    near, far = fitted.doubt(points).mean(), fitted.doubt(points + 50).mean()
    assert near < 0.5 * far


def test_clusters_of_pure_noise_stay_near_the_mean():
    points = RANDOM.normal(size=(1500, 8)).astype(np.float32)
    noise = RANDOM.normal(size=(1500, 1))
    assert np.abs(Clusters.fit(points, noise, seed=0).predict(points)).mean() < 0.1


def test_clusters_find_groups_that_differ():
    side = RANDOM.integers(0, 2, 600)
    points = (np.eye(2)[side] * 4 + 0.1 * RANDOM.normal(size=(600, 2))).astype(np.float32)
    wanted = side[:, None] + 0.1 * RANDOM.normal(size=(600, 1))
    assert np.abs(Clusters.fit(points, wanted, seed=0).predict(points)[:, 0] - side).max() < 0.15


def test_few_queries_are_grouped_too_and_noise_moves_them_little():
    side = np.arange(60) % 2
    points = (np.eye(2)[side] * 4 + 0.1 * RANDOM.normal(size=(60, 2))).astype(np.float32)
    noise = 0.1 * RANDOM.normal(size=(60, 1))
    told = Clusters.fit(points, side[:, None] - 0.5 + noise, seed=0).predict(points)[:, 0]
    assert np.abs(told - (side - 0.5)).max() < 0.25
    assert np.abs(Clusters.fit(points, noise, seed=0).predict(points)).mean() < 0.06


def test_neighbours_average_the_nearest_that_are_known():
    points = np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)
    wanted = np.repeat([[1.0, np.nan], [0.0, 3.0]], 50, axis=0)
    found = Neighbours.fit(points, wanted).predict(np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(found, [[1, 3], [0, 3]])


def test_weights_go_to_what_predicts_and_never_below_zero():
    wanted = RANDOM.normal(size=(500, 2))
    parts = np.stack([wanted + 0.1 * RANDOM.normal(size=wanted.shape), -wanted, 0 * wanted])
    weights = fit_weights(parts, wanted)
    assert weights[0] > 0.8
    assert (weights >= 0).all()
    assert fit_weights(parts, np.full_like(wanted, np.nan)).tolist() == [0, 0, 0]


def test_targets_lead_back_to_the_scores():
    scores = RANDOM.random((100, 4))
    split = Targets.of(scores, np.full(4, 0.5))
    assert split.is_split
    np.testing.assert_allclose(split.scores(split.values), scores, atol=1e-9)
    np.testing.assert_allclose(contrast(scores).sum(axis=1), 0, atol=1e-9)


def test_finer_groups_tell_what_coarse_ones_cannot():
    random = np.random.default_rng(5)
    places = random.permutation(np.repeat(np.arange(30), 50))
    points = (random.normal(size=(30, 12))[places] + 0.05 * random.normal(size=(1500, 12))).astype(
        np.float32
    )
    wanted = random.normal(size=(30, 2))[places]
    fitted = Clusters.fit(points, wanted, seed=0)
    whole = np.abs(fitted.predict(points) - wanted).mean()
    coarse = np.abs(Clusters(fitted.partitions, (), 2).predict(points) - wanted).mean()
    assert whole < 0.8 * coarse


@pytest.mark.parametrize("share_missing", [0.0, 0.5])
def test_groups_of_noise_predict_next_to_nothing(share_missing):
    random = np.random.default_rng(6)
    points = random.normal(size=(1000, 6)).astype(np.float32)
    noise = random.normal(size=(1000, 3))
    noise[random.random(noise.shape) < share_missing] = np.nan
    new = random.normal(size=(200, 6)).astype(np.float32)
    assert np.abs(Clusters.fit(points, noise, seed=0).predict(new)).mean() < 0.2


def test_a_margin_keeps_the_default_where_predictions_are_noise():
    predicted = RANDOM.random((400, 3))
    actual = (RANDOM.random((400, 3)) < 0.5).astype(float)
    margin = learn_margin(predicted, actual, default=0)
    assert margin.least == np.inf
    assert "nothing for certain" in margin.reason


def test_a_margin_is_no_larger_than_past_queries_prove_it_must_be():
    # Every gain is real and small: a cut among the largest looks best by luck alone.
    learned: list[float] = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        gains = random.random(600)
        actual = np.stack([np.zeros(600), random.choice([-1.0, 1.0], 600, p=[0.4, 0.6])], axis=1)
        predicted = np.stack([np.zeros(600), gains], axis=1)
        learned.append(learn_margin(predicted, actual, default=0).least or 0.0)
    assert np.count_nonzero(learned) <= 2


def test_a_margin_stays_where_going_below_it_is_proven_to_lose():
    random = np.random.default_rng(4)
    gains = random.random(600)
    goes_well = np.where(gains > 0.5, 0.8, 0.2)
    actual = np.stack([np.zeros(600), np.where(random.random(600) < goes_well, 1.0, -1.0)], axis=1)
    margin = learn_margin(np.stack([np.zeros(600), gains], axis=1), actual, default=0)
    assert margin.least == pytest.approx(0.5, abs=0.1)
    assert margin.gain > 0.2


def test_a_margin_lets_good_predictions_through():
    actual = RANDOM.random((400, 3))
    predicted = actual + 0.05 * RANDOM.normal(size=actual.shape)
    margin = learn_margin(predicted, actual, default=0)
    assert margin.least is not None
    assert margin.least < 0.05
    assert margin.gain > 0.2


def test_too_few_outcomes_of_both_judge_nothing():
    margin = learn_margin(np.ones((5, 2)), np.ones((5, 2)), default=0)
    assert margin.least is None


def test_cost_and_latency_grow_with_length_and_stay_unknown_where_unmeasured():
    texts = [" ".join(["word"] * n) for n in range(1, 101)]
    lengths = np.arange(1, 101, dtype=float)
    nan = np.full(100, np.nan)
    table = OutcomeTable(
        queries=tuple(texts),
        vectors=np.zeros((100, 2), dtype=np.float32),
        models=("a", "b"),
        scores=np.ones((100, 2)),
        costs_usd=np.stack([0.001 * lengths, nan], axis=1),
        latencies_ms=np.stack([nan, 5 + 0 * lengths], axis=1),
    )
    costs, latencies = Usage.fit(table).predict(["word " * 10, "word " * 90])
    assert costs[1, 0] > 4 * costs[0, 0] > 0
    assert np.isnan(costs[:, 1]).all()
    np.testing.assert_allclose(latencies[:, 1], 5)


def test_observations_of_one_query_are_averaged_and_checked():
    vectors = np.zeros((1, 2), dtype=np.float32)
    table = OutcomeTable.of(
        [Observation("q", "m", 1.0, 0.2), Observation("q", "m", 0.0), Observation("q", "n", None)],
        queries=["q"],
        vectors=vectors,
        models=["m", "n"],
    )
    assert table.scores[0, 0] == 0.5
    assert table.costs_usd[0, 0] == 0.2
    assert np.isnan(table.scores[0, 1])
    for wrong in (Observation("q", "m", 1.5), Observation("q", "m", 1.0, -1)):
        with pytest.raises(InvalidInput):
            OutcomeTable.of([wrong], queries=["q"], vectors=vectors, models=["m"])
