"""Vectors kept between evaluations, and the encoder that serves them by the clock."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings.encoding.encoder import Progress
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_server.evaluation.meter import MeteredEncoder
from toolcrib_server.evaluation.vectors import VectorCache


class CountingEncoder(HashEncoder):
    """Remembers what it was asked."""

    def __init__(self, dimension: int = 256) -> None:
        super().__init__(dimension)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        self.asked += texts
        return super().encode(texts, on_progress=on_progress)


def test_a_text_is_encoded_once_and_kept(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    told: list[tuple[int, int]] = []
    with VectorCache(encoder, tmp_path / "cache") as cache:
        first = cache.encode(["a", "b", "a"], on_progress=lambda *done: told.append(done))
    with VectorCache(encoder, tmp_path / "cache") as cache:
        again = cache.encode(["b", "a", "c"])
    assert sorted(encoder.asked) == ["a", "b", "c"]
    assert told == [(2, 2)]
    assert np.array_equal(first, HashEncoder().encode(["a", "b", "a"]))
    assert np.array_equal(again, HashEncoder().encode(["b", "a", "c"]))


def test_no_text_has_no_vector(tmp_path: Path) -> None:
    with VectorCache(HashEncoder(), tmp_path) as cache:
        assert len(cache.encode([])) == 0


def test_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    with VectorCache(HashEncoder(16), tmp_path) as cache:
        cache.encode(["a"])
    with VectorCache(HashEncoder(32), tmp_path) as cache:
        assert cache.find(["a"]) == {}
        assert cache.encode(["a"]).shape == (1, 32)


def test_a_damaged_cache_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "vectors.db").write_bytes(b"not a database" * 100)
    with VectorCache(HashEncoder(), tmp_path) as cache:
        cache.encode(["a"])
    assert "is put aside" in caplog.text
    with VectorCache(HashEncoder(), tmp_path) as cache:
        assert list(cache.find(["a"])) == ["a"]


def test_a_vector_of_another_length_is_not_served(tmp_path: Path) -> None:
    encoder = HashEncoder(16)
    with VectorCache(encoder, tmp_path) as cache:
        cache.encode(["a"])
    database = sqlite3.connect(tmp_path / "vectors.db")
    database.execute("UPDATE vectors SET vector = x'00000000'")
    database.commit()
    database.close()
    with VectorCache(encoder, tmp_path) as cache:
        assert np.array_equal(cache.encode(["a"]), encoder.encode(["a"]))


def test_without_a_place_to_keep_them_vectors_are_still_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with VectorCache(HashEncoder(), tmp_path / "file" / "cache") as cache:
        assert cache.encode(["a"]).shape == (1, 256)
        assert list(cache.find(["a"])) == ["a"]
    assert "not kept" in caplog.text


def test_known_texts_are_served_without_encoding_and_without_a_time(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    with VectorCache(encoder, tmp_path) as cache:
        cache.encode(["a", "b"])
        encoder.asked.clear()
        meter = MeteredEncoder(encoder, cache)
        assert np.array_equal(meter.encode(["a", "b"]), HashEncoder().encode(["a", "b"]))
        lap = meter.lap()
    assert encoder.asked == []
    assert lap.encode_ms is None
    assert lap.inside_ms > 0


def test_what_is_sampled_is_encoded_for_the_clock_once(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    with VectorCache(encoder, tmp_path) as cache:
        cache.encode(["a"])
        encoder.asked.clear()
        meter = MeteredEncoder(encoder, cache)
        meter.is_sampling = True
        meter.encode(["a"])
        first = meter.lap().encode_ms
        meter.encode(["a"])
        again = meter.lap().encode_ms
    assert encoder.asked == ["a"]
    assert first is not None
    assert first == again
    assert meter.lap().encode_ms == 0, "nothing was encoded since"


def test_parts_in_their_context_are_kept_apart_from_texts(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    text, spans = "send mail and list files", [(0, 9), (14, 24)]
    with VectorCache(encoder, tmp_path) as cache:
        meter = MeteredEncoder(encoder, cache)
        first = meter.encode_query(text, spans)
        assert meter.lap().encode_ms is not None
        meter.keep()
        encoder.asked.clear()
        served = MeteredEncoder(encoder, cache).encode_query(text, spans)
    assert encoder.asked == []
    assert np.array_equal(first.vectors, served.vectors)
    assert first.vectors.shape == (3, 256)
    assert first.tokens
    assert served.tokens
    assert np.array_equal(first.tokens[0], served.tokens[0])


def test_token_vectors_are_made_once_and_kept_with_the_vectors(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    with VectorCache(encoder, tmp_path) as cache:
        first = cache.tokens(["list files", "", "list files"])
    with VectorCache(encoder, tmp_path) as cache:
        again = cache.tokens(["", "list files"])
        cache.encode(["list files"])
    assert sorted(encoder.asked) == ["", "list files"]
    assert [len(first[text]) for text in ("list files", "")] == [2, 0]
    assert np.array_equal(first["list files"], again["list files"])
