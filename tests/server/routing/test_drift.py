"""A model that changed shows in its latest outcomes, against what was predicted of them."""

from datetime import timedelta

import numpy as np

from toolcrib_server.routing.drift import find_drift

from .conftest import START

RANDOM = np.random.default_rng(9)


def history(count: int = 200, changed_at: int | None = None, to: float = 0.2) -> np.ndarray:
    means = np.full(count, 0.8)
    if changed_at is not None:
        means[changed_at:] = to
    return (RANDOM.uniform(size=count) < means).astype(float)[:, None]


TIMES = [START + timedelta(hours=n) for n in range(200)]
EXPECTED = np.full((200, 1), 0.8)


def test_a_model_that_got_worse_is_noticed() -> None:
    (drift,) = find_drift(["poet"], EXPECTED, history(changed_at=165), TIMES)
    assert drift.model == "poet"
    assert drift.shift < -0.3
    assert abs(TIMES.index(drift.since) - 165) <= 6, "it says since when"
    assert drift.left_out + drift.latest == 200
    assert "worse" in drift.reason


def test_a_model_that_stays_as_it_is_is_not() -> None:
    assert all(not find_drift(["poet"], EXPECTED, history(), TIMES) for _ in range(20))


def test_harder_queries_are_no_drift() -> None:
    scores = history(changed_at=150, to=0.3)
    expected = np.where(np.arange(200)[:, None] < 150, 0.8, 0.3)
    assert not find_drift(["poet"], expected, scores, TIMES)


def test_what_came_all_at_once_has_no_before() -> None:
    assert not find_drift(["poet"], EXPECTED, history(changed_at=165), [START] * 200)


def test_a_few_outcomes_show_nothing() -> None:
    assert not find_drift(["poet"], EXPECTED[:50], history(50, changed_at=30), TIMES[:50])
