"""Rows in bytes find what exact search finds, within what they are asked for."""

import numpy as np
import pytest

from toolcrib_embeddings.indexing.codes import Codes

ROWS = 5_000


def _rows(count: int = ROWS, *, dimension: int = 48) -> np.ndarray:
    rows = np.random.default_rng(3).standard_normal((count, dimension)).astype(np.float32)
    # Columns of unlike spread, and not about zero, as encoders have them.
    rows = rows * np.linspace(0.2, 3, dimension, dtype=np.float32) + np.float32(0.3)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [300, ROWS])
def test_the_best_are_among_twice_as_many(count: int):
    rows = _rows(count)
    codes = Codes(rows)
    for query in _rows()[::250]:
        best = np.argsort(-(rows @ query))[:50]
        assert np.isin(best, codes.nearest(query, 100, None)).all()


def test_they_come_in_the_order_of_rows_and_from_those_alone_that_are_wanted():
    rows, wanted = _rows(), np.arange(ROWS) % 7 == 2
    found = Codes(rows).nearest(rows[9], 40, wanted)
    assert len(found) == 40
    assert (np.diff(found) > 0).all()
    assert wanted[found].all()


@pytest.mark.parametrize("length", [1e-6, 1e6])
def test_the_length_of_a_query_changes_nothing(length: float):
    rows = _rows()
    codes = Codes(rows)
    assert (
        codes.nearest(rows[4] * np.float32(length), 30, None) == codes.nearest(rows[4], 30, None)
    ).all()


def test_a_query_of_zeros_finds_some_all_the_same():
    assert len(Codes(_rows()).nearest(np.zeros(48, np.float32), 10, None)) == 10


def test_a_column_in_which_all_are_alike_does_no_harm():
    rows = _rows()
    rows[:, 5] = 0.25
    best = np.argsort(-(rows @ rows[7]))[:20]
    assert np.isin(best, Codes(rows).nearest(rows[7], 60, None)).all()
