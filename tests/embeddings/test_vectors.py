"""Products made piece by piece are the products, and scores are compared by deviations."""

import numpy as np
import pytest

from toolcrib_embeddings.vectors import multiply, standardise


@pytest.mark.parametrize("shape", [(0, 384, 128), (1, 384, 128), (13, 384, 128), (1_900, 128, 12)])
def test_a_product_in_pieces_is_the_product(shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    numbers = np.random.default_rng(5)
    left = numbers.integers(-9, 9, (rows, inner)).astype(np.float32)
    right = numbers.integers(-9, 9, (inner, columns)).astype(np.float32)
    made = multiply(left, right)
    assert made.dtype == np.float32
    assert np.array_equal(made, left @ right)


def test_a_product_with_nothing_is_empty() -> None:
    assert multiply(np.ones((3, 4), np.float32), np.ones((4, 0), np.float32)).shape == (3, 0)


def test_scores_are_counted_in_deviations_of_those_that_count() -> None:
    scores = np.array([1, 3, 0, 9], np.float32)
    made = standardise(scores, np.array([True, True, False, False]))
    assert made.dtype == np.float32
    assert made.tolist() == [-1, 1, -1, 7]


@pytest.mark.parametrize("scores", [[], [0.5], [2, 2, 2]])
def test_where_all_are_alike_no_score_says_anything(scores: list[float]) -> None:
    assert standardise(np.array(scores, np.float32)).tolist() == [0] * len(scores)
