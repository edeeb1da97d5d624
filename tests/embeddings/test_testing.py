"""The encoder for tests keeps the promises of an encoder."""

import numpy as np

from toolcrib_embeddings.testing import HashEncoder


def test_vectors_never_change_between_machines():
    vector = HashEncoder(8).encode(["convertTime between zones"])[0]
    expected = [0, 0, 0, 0, 0.5**0.5, 0, -(0.5**0.5), 0]
    assert np.allclose(vector, expected)


def test_rows_have_length_one_whatever_the_text():
    vectors = HashEncoder().encode(["", "a", "\ud800", "東京 weather", "x " * 9999])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


def test_no_texts_give_no_rows():
    assert HashEncoder(16).encode([]).shape == (0, 16)


def test_texts_that_share_words_are_closer_than_texts_that_do_not():
    time, zone, cake = HashEncoder().encode(
        ["convert time zones", "convertTime of zones", "bake a cake"]
    )
    assert time @ zone > 0.8
    assert time @ cake < 0.2


def test_progress_counts_every_text():
    seen: list[int] = []
    HashEncoder().encode(["a", "b"], on_progress=seen.append)
    assert seen == [1, 2]
