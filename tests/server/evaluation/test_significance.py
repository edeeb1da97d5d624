"""Intervals and tests against what is known without drawing anything."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.evaluation.comparing import compare, correct_averages
from toolcrib_server.evaluation.measures import MAIN, MEASURES
from toolcrib_server.evaluation.significance import (
    Floats,
    correct,
    estimate,
    flip_signs,
    p_values,
    resample_means,
)


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, (400, 1))
    (found,) = estimate(values.mean(axis=0), resample_means(values, seed=7, name="x"))
    half = 1.96 * float(values.std()) / 400**0.5
    assert found.mean == pytest.approx(float(values.mean()))
    assert found.high - found.mean == pytest.approx(half, rel=0.06)
    assert found.mean - found.low == pytest.approx(half, rel=0.06)


def test_values_that_are_all_alike_have_no_width() -> None:
    (found,) = estimate(np.array([0.25]), resample_means(column(0.25, 0.25), seed=7, name="x"))
    assert (found.low, found.high) == pytest.approx((0.25, 0.25))


def test_columns_are_drawn_together() -> None:
    values = np.random.default_rng(2).random((50, 1))
    means = resample_means(np.hstack([values, values + 1]), seed=7, name="x")
    assert np.allclose(means[:, 1] - means[:, 0], 1)


def test_the_same_seed_draws_the_same_and_sets_draw_apart() -> None:
    values = column(0, 1, 1, 0, 1)
    first = resample_means(values, seed=7, name="x")
    assert np.array_equal(first, resample_means(values, seed=7, name="x"))
    assert not np.array_equal(first, resample_means(values, seed=8, name="x"))
    assert not np.array_equal(first, resample_means(values, seed=7, name="y"))


def test_p_agrees_with_every_way_of_swapping_counted_out() -> None:
    differences = [0.3, 0.1, -0.05, 0.2, 0.25, 0.0, 0.15]
    observed = sum(differences) / 7
    ways = [
        sum(s * d for s, d in zip(signs, differences, strict=True)) / 7
        for signs in product((-1, 1), repeat=7)
    ]
    exact = sum(abs(way) >= abs(observed) - 1e-12 for way in ways) / len(ways)
    values = column(*differences)
    (p,) = p_values(values.mean(axis=0), flip_signs(values, seed=7, name="x"))
    assert p == pytest.approx(exact, abs=0.006)


def test_no_difference_at_all_is_no_evidence() -> None:
    values = column(0, 0, 0)
    assert p_values(values.mean(axis=0), flip_signs(values, seed=7, name="x")) == [1.0]


def test_holm_steps_down() -> None:
    assert correct([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_correction_never_lowers_and_keeps_the_order(p: list[float]) -> None:
    corrected = correct(p)
    assert all(p[i] <= corrected[i] <= 1 for i in range(len(p)))
    by_size = sorted(range(len(p)), key=lambda i: p[i])
    assert [corrected[i] for i in by_size] == sorted(corrected)


def test_an_average_gives_every_set_the_same_weight() -> None:
    small = np.full((20, len(MEASURES)), 0.4)
    large = np.zeros((200, len(MEASURES)))
    values = {
        name: (each, resample_means(each, seed=7, name=name))
        for name, each in (("small", small), ("large", large))
    }
    compared = compare("a", "b", values, seed=7)
    assert compared.macro[MAIN].mean == pytest.approx(0.2)
    assert compared.sets["small"][MAIN].p_corrected < 0.001
    assert compared.sets["large"][MAIN].p_corrected == 1.0
    assert compared.macro[MAIN].p < 0.001
    assert compared.sets["small"][MAIN].p_corrected == pytest.approx(
        2 * compared.sets["small"][MAIN].p
    )


def test_averages_are_corrected_for_how_many_there_are() -> None:
    values = np.full((20, len(MEASURES)), 0.1)
    each = compare("a", "b", {"x": (values, resample_means(values, seed=7, name="x"))}, seed=7)
    alone = correct_averages([each])[0].macro[MAIN]
    many = correct_averages([each] * 4)[0].macro[MAIN]
    assert alone.p_corrected == alone.p
    assert many.p_corrected == pytest.approx(4 * many.p)
    assert correct_averages([]) == ()
