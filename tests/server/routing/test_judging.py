"""A policy is used only where replay shows that it does not lose to the best single model."""

import numpy as np
import pytest

from toolcrib_server.routing.judging import FEWEST_JUDGED, Standing, judge

MODELS = ("poet", "clerk")


def outcomes(count: int, seed: int = 3) -> np.ndarray:
    """Half of the queries suit each model."""
    suits = np.random.default_rng(seed).permutation(count) % 2 == 0
    return np.stack([np.where(suits, 0.9, 0.2), np.where(suits, 0.2, 0.8)], axis=1)


def test_good_predictions_are_used() -> None:
    scores = outcomes(200)
    judged = judge(MODELS, scores, scores)
    assert judged.standing is Standing.USED
    assert judged.score > judged.best_single_score + 0.2
    assert judged.best_single == "poet"
    assert "it is used" in judged.reason


def test_predictions_that_mislead_one_half_are_refused() -> None:
    """The first half teaches to trust them; on the second they are wrong, and the other way."""
    from toolcrib_server.selection.routing.arrays import folds

    scores = outcomes(400)
    first = folds(400, parts=2, seed=11) == 0
    predicted = np.where(first[:, None], scores, 1 - scores)
    judged = judge(MODELS, predicted, scores)
    assert judged.standing is Standing.REFUSED
    assert "the default is kept" in judged.reason


def test_useless_predictions_do_no_harm() -> None:
    scores = outcomes(300)
    noise = np.random.default_rng(5).uniform(size=scores.shape)
    judged = judge(MODELS, noise, scores)
    assert judged.score >= judged.best_single_score - judged.error


@pytest.mark.parametrize("count", [0, 1, FEWEST_JUDGED - 1])
def test_few_queries_decide_nothing(count: int) -> None:
    scores = outcomes(count)
    assert judge(MODELS, scores, scores).standing is Standing.UNJUDGED


def test_a_query_of_which_only_one_outcome_is_known_judges_nothing_else() -> None:
    scores = outcomes(200)
    scores[:190, 1] = np.nan
    judged = judge(MODELS, np.nan_to_num(scores, nan=0.5), scores)
    assert judged.judged <= 200
    assert judged.score >= judged.best_single_score - judged.error


def test_a_model_of_which_nothing_is_known_is_never_chosen() -> None:
    scores = np.hstack([outcomes(100), np.full((100, 1), np.nan)])
    predicted = np.hstack([outcomes(100), np.ones((100, 1))])
    assert judge((*MODELS, "new"), predicted, scores).standing is Standing.USED
