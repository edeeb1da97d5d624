"""The second stage: what it reads, what it makes of it, where it stays away."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings import Document, Rerank, SearchIndex, SearchOptions
from toolcrib_embeddings.encoding.encoder import Encoder, Encoding, Progress
from toolcrib_embeddings.encoding.tokens import MOST_PIECES, SCALE, TokenMatrix, pieces
from toolcrib_embeddings.hits import TOKENS
from toolcrib_embeddings.indexing.token_table import TokenTable
from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.ranking.fusion import Fused
from toolcrib_embeddings.ranking.rerank import MOST_RERANKED, AskedTokens, interact, rerank
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import EntryId, Revision

from ..conftest import MakeDocument

ON, OFF = SearchOptions(rerank=Rerank.ON), SearchOptions(rerank=Rerank.OFF)
AUTO = SearchOptions(rerank=Rerank.AUTO)
_EVEN = np.full(MOST_PIECES, 64, dtype=np.int64)


class TokenlessEncoder(HashEncoder):
    """A model whose texts have a vector and whose tokens have none."""

    @property
    def token_id(self) -> None:
        return None

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Progress | None = None
    ) -> Encoding:
        return Encoding(self.encode(texts, on_progress=on_progress))

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        return Encoding(super().encode_query(text, spans).vectors)


def _tokens(text: str) -> TokenMatrix:
    tokens = HashEncoder().encode_query(text).tokens
    assert tokens
    return tokens[0]


def _asked(text: str, spans: Sequence[Span] = ()) -> AskedTokens:
    encoder = HashEncoder()
    asked = AskedTokens.of(encoder.encode_query(text, spans), encoder.rarity)
    assert asked
    return asked


def _index(
    encoder: Encoder, documents: Sequence[Document], *, with_tokens: int | None = None
) -> SearchIndex:
    """Index documents; the first so many have token vectors, or all."""
    index = SearchIndex(encoder)
    read = encoder.encode_documents([document.text for document in documents])
    ids = [document.id for document in documents][:with_tokens]
    tokens = dict(zip(ids, read.tokens or (), strict=False))
    upserts = list(zip(documents, read.vectors, strict=True))
    index.update(upserts, (), revision=Revision(1), tokens=tokens)
    return index


def test_both_directions_say_which_share_is_spoken_of():
    texts = [_tokens(text) for text in ("green red", "red square", "big square")]
    spoken_of, covered = interact(_asked("red green blue cyan"), texts, _EVEN)
    assert spoken_of.tolist() == pytest.approx([1, 0.5, 0])
    assert covered.tolist() == pytest.approx([0.5, 0.25, 0])


def test_rare_words_weigh_more():
    query, texts = "the weather", [_tokens("the files"), _tokens("weather files")]
    weights = _EVEN.copy()
    weights[pieces(_tokens("the"))] = 1
    spoken_of, covered = interact(_asked(query), texts, weights)
    assert spoken_of[0] < spoken_of[1]
    assert covered[0] < covered[1]


def test_a_text_that_answers_one_step_whole_covers_as_much_as_one_that_answers_all():
    text = "list files. send mail"
    texts = [_tokens("send mail"), _tokens("list mail")]
    _, whole = interact(_asked(text), texts, _EVEN)
    _, steps = interact(_asked(text, [(0, 10), (12, 21)]), texts, _EVEN)
    assert whole.tolist() == pytest.approx([0.5, 0.5])
    assert steps.tolist() == pytest.approx([1, 0.5])


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_a_text_scores_the_same_wherever_it_stands(data: st.DataObject):
    numbers = np.random.default_rng(data.draw(st.integers(0, 99)))
    query, *texts = (
        numbers.integers(-SCALE, SCALE, (size, 66), dtype=np.int8)
        for size in data.draw(st.lists(st.integers(1, 60), min_size=2, max_size=12))
    )
    weights = numbers.integers(0, 600, MOST_PIECES)
    nothing = np.empty((0, 0), dtype=np.float32)
    asked = AskedTokens.of(Encoding(nothing, (query,)), nothing)
    assert asked
    order = data.draw(st.permutations(range(len(texts))))
    both = interact(asked, texts, weights)
    moved = interact(asked, [texts[n] for n in order], weights)
    apart = [interact(asked, [text], weights) for text in texts]
    for n, scores in enumerate(both):
        assert np.array_equal(moved[n], scores[list(order)])
        assert np.array_equal(np.concatenate([each[n] for each in apart]), scores)


@pytest.mark.parametrize("options", [ON, AUTO])
def test_the_signal_of_the_second_stage_is_told(document: MakeDocument, options: SearchOptions):
    text = "read the file system log of a machine in the cellar"
    documents = [document("broad", f"{text} {text} of many"), document("exact", text)]
    documents += [document(f"other{n}", f"word{n} thing{n}") for n in range(8)]
    ranking = _index(HashEncoder(), documents).search(text, k=2, options=options)
    assert ranking.reranked
    assert TOKENS in ranking.hits[0].signals
    assert ranking.ids[0] == "tool:exact"
    plain = _index(HashEncoder(), documents).search(text, k=2, options=OFF)
    assert not plain.reranked
    assert TOKENS not in plain.hits[0].signals


def test_no_candidate_passes_those_that_were_reranked():
    ids = [EntryId(f"tool:{n:03}") for n in range(MOST_RERANKED + 20)]
    scores = -np.arange(len(ids), dtype=np.float32)
    fused = Fused(scores, {}, np.empty((0, len(ids)), dtype=np.float32))
    rows = {id_: _tokens("list files" if n % 7 else "other words") for n, id_ in enumerate(ids)}
    tokens = TokenTable.empty().updated(rows)
    after = rerank(fused, ids, how=Rerank.ON, asked=_asked("list files"), tokens=tokens)
    assert after is not None
    assert after.scores[:MOST_RERANKED].min() > after.scores[MOST_RERANKED:].max()
    assert np.array_equal(after.scores[MOST_RERANKED:], scores[MOST_RERANKED:])
    assert after.scores[1] > after.scores[0], "what the query speaks of passes what it does not"


def test_what_has_no_token_vectors_counts_as_the_average_of_the_others():
    ids = [EntryId(f"tool:{n}") for n in range(3)]
    even = np.zeros(3, dtype=np.float32)
    fused = Fused(even, {}, np.empty((0, 3), dtype=np.float32))
    tokens = TokenTable.empty().updated({ids[0]: _tokens("files"), ids[1]: _tokens("weather")})
    after = rerank(fused, ids, how=Rerank.AUTO, asked=_asked("files"), tokens=tokens)
    assert after is not None
    good, bad, unknown = after.scores.tolist()
    assert unknown == pytest.approx((good + bad) / 2)
    assert bad < unknown < good


def test_auto_stays_away_where_most_have_no_token_vectors(document: MakeDocument):
    documents = [document(f"tool{n}", f"list files of kind {n}") for n in range(10)]
    few, most = (_index(HashEncoder(), documents, with_tokens=n) for n in (4, 6))
    assert not few.search("list files", k=3, options=AUTO).reranked
    assert few.search("list files", k=3, options=ON).reranked
    assert most.search("list files", k=3, options=AUTO).reranked


def test_a_model_without_token_vectors_is_searched_without_a_second_stage(document: MakeDocument):
    documents = [document(f"t{n}", f"list files {n}") for n in range(5)]
    index = _index(TokenlessEncoder(), documents)
    ranking = index.search("list files", k=3, options=ON)
    assert len(ranking.hits) == 3
    assert not ranking.reranked


def test_steps_that_were_given_are_read_as_one_task(document: MakeDocument):
    documents = [document(f"tool{n}", f"list files of kind {n}") for n in range(10)]
    ranking = _index(HashEncoder(), documents).search(["list files", "kind 3"], k=3, options=ON)
    assert ranking.reranked
    assert "tool:tool3" in ranking.ids
