"""The second stage: what it reads, what it costs, where it stops."""

from collections.abc import Sequence

import numpy as np
import pytest

from toolcrib_embeddings import Document, FloatMatrix, Rerank, SearchIndex, SearchOptions
from toolcrib_embeddings.hits import TOKENS
from toolcrib_embeddings.rerank import MAX_RERANKED, Reranker
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import Revision

from .conftest import MakeDocument

ON, OFF = SearchOptions(rerank=Rerank.ON), SearchOptions(rerank=Rerank.OFF)


class CountingEncoder(HashEncoder):
    """Tells how many texts were read token by token."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def encode_tokens(self, texts: Sequence[str]) -> list[FloatMatrix] | None:
        self.read += texts
        return super().encode_tokens(texts)


class TokenlessEncoder(HashEncoder):
    """A model whose texts have a vector and whose tokens have none."""

    def encode_tokens(self, texts: Sequence[str]) -> None:
        return None


def _index(encoder: HashEncoder, documents: Sequence[Document]) -> SearchIndex:
    index = SearchIndex(encoder)
    vectors = encoder.encode([document.text for document in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    return index


def test_a_text_scores_by_the_share_that_the_query_speaks_of():
    texts = ["green red", "red square", "big square", ""]
    scores = Reranker(HashEncoder()).scores("red green blue", texts)
    assert scores is not None
    all_, half, none, empty = scores.tolist()
    assert all_ == pytest.approx(1)
    assert none < half < all_
    assert empty == 0


def test_the_more_exact_of_two_that_match_comes_first(document: MakeDocument):
    text = "read the file system log of a machine in the cellar"
    documents = [document("broad", f"{text} {text}"), document("exact", text)]
    documents += [document(f"other{n}", f"word{n} thing{n}") for n in range(8)]
    ranking = _index(HashEncoder(), documents).search(text, k=2, options=ON)
    assert ranking.reranked
    assert TOKENS in ranking.hits[0].signals
    plain = _index(HashEncoder(), documents).search(text, k=2, options=OFF)
    assert not plain.reranked
    assert TOKENS not in plain.hits[0].signals


def test_only_the_best_are_read_and_they_are_read_once(document: MakeDocument):
    encoder = CountingEncoder()
    index = _index(encoder, [document(f"tool{n}", f"list files of kind {n}") for n in range(60)])
    index.search("list files", k=5, options=ON)
    assert len(encoder.read) == 1 + MAX_RERANKED
    index.search("list files", k=6, options=ON)
    assert len(encoder.read) == 2 + MAX_RERANKED, "only the query is read again"


def test_auto_reads_as_many_as_fit_in_the_budget():
    reranker = Reranker(HashEncoder())
    texts = [f"a text of some length, number {n}" for n in range(30)]
    auto = SearchOptions(rerank=Rerank.AUTO, budget_ms=2.0)
    some = reranker.affordable(texts, auto, spent_ms=0.0)
    assert 0 < some < MAX_RERANKED
    assert reranker.affordable(texts, auto, spent_ms=5.0) == 0
    assert reranker.affordable(texts, OFF, spent_ms=0.0) == 0
    assert reranker.affordable(texts, ON, spent_ms=1e9) == MAX_RERANKED
    reranker.scores("a text", texts[:MAX_RERANKED])
    assert reranker.affordable(texts, auto, spent_ms=1.0) == MAX_RERANKED, "known ones are free"


def test_no_candidate_passes_those_that_were_reranked(document: MakeDocument):
    documents = [document(f"tool{n:02}", f"list files {'x ' * n}") for n in range(40)]
    index = _index(HashEncoder(), documents)
    plain = index.search("list files", k=40, options=OFF).ids
    reranked = index.search("list files", k=40, options=ON).ids
    assert set(plain[:MAX_RERANKED]) == set(reranked[:MAX_RERANKED])
    assert plain[MAX_RERANKED:] == reranked[MAX_RERANKED:]


def test_a_model_without_token_vectors_is_searched_without_a_second_stage(document: MakeDocument):
    index = _index(TokenlessEncoder(), [document(f"t{n}", f"list files {n}") for n in range(5)])
    ranking = index.search("list files", k=3, options=ON)
    assert len(ranking.hits) == 3
    assert not ranking.reranked


def test_tokens_of_the_real_model_average_to_its_vector(real_encoder):
    (tokens,) = real_encoder.encode_tokens(["convert a time"])
    assert tokens.shape == (3, real_encoder.dimension)
    assert np.allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-5)
    assert real_encoder.encode_tokens(["", "convert"])[0].shape[0] == 0
