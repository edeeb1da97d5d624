"""Products that are made piece by piece are the products."""

import numpy as np
import pytest

from toolcrib_embeddings.products import multiply


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
