"""The FAISS index is exact search, whatever happened before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.indexing.scope import Scope
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryKind, ServerName, entry_id

DIMENSION = 8


def _document(name: str) -> Document:
    return Document(
        id=entry_id(EntryKind.TOOL, name),
        kind=EntryKind.TOOL,
        server=ServerName(name[-1]),
        name=name,
        text="",
        terms="",
    )


def _vector(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


_NAMES = st.sampled_from([f"tool{n:02}" for n in range(30)])
_STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(_NAMES, st.integers(0, 10**6)), max_size=12),
        st.sets(_NAMES, max_size=8),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(
    steps=_STEPS,
    query=st.integers(0, 10**6),
    k=st.integers(0, 40),
    servers=st.none() | st.sets(st.sampled_from("0123456789")),
)
def test_search_equals_brute_force_after_any_changes(steps, query, k, servers):
    index, model = FaissIndex.empty(DIMENSION), {}
    for upserts, names in steps:
        changes = [(_document(name), _vector(seed)) for name, seed in upserts]
        removals = {entry_id(EntryKind.TOOL, name) for name in names}
        index = index.updated(changes, removals)
        model = {id_: v for id_, v in model.items() if id_ not in removals}
        model |= {document.id: vector for document, vector in changes}
    vector = _vector(query)
    found = index.search(vector, k=k, scope=Scope.of(kinds=None, servers=servers))
    in_scope = {i: v @ vector for i, v in model.items() if servers is None or i[-1] in servers}
    assert len(index) == len(model)
    assert len(found) == min(k, len(in_scope))
    assert np.allclose([score for _, score in found], sorted(in_scope.values())[::-1][: len(found)])
    assert all(np.isclose(score, in_scope[id_], atol=1e-6) for id_, score in found)
    ids = sorted(model)
    assert np.allclose(
        index.scores(vector[None], ids)[0], [model[i] @ vector for i in ids], atol=1e-6
    )


def test_a_large_index_finds_what_brute_force_finds():
    rng = np.random.default_rng(17)
    vectors = rng.standard_normal((6_000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = [_document(f"tool{n:04}") for n in range(6_000)]
    index = FaissIndex.empty(64).updated(list(zip(documents, vectors, strict=True)))
    for query in vectors[:40] + 0.05 * rng.standard_normal((40, 64)).astype(np.float32):
        scores = vectors @ query
        best = np.argsort(-scores)[:50]
        found = index.search(query, k=50)
        assert [id_ for id_, _ in found] == [documents[row].id for row in best]
        assert np.allclose([score for _, score in found], scores[best], atol=1e-6)
        some = index.search(query, k=5, scope=Scope(servers=frozenset({ServerName("7")})))
        expected = [row for row in np.argsort(-scores) if row % 10 == 7][:5]
        assert [id_ for id_, _ in some] == [documents[row].id for row in expected]


def test_equal_rows_have_equal_scores_and_are_cut_by_id():
    vector = _vector(5)
    documents = [_document(f"tool{n:04}") for n in range(5_000)]
    index = FaissIndex.empty(DIMENSION).updated([(document, vector) for document in documents])
    found = index.search(_vector(6), k=5_000)
    assert [id_ for id_, _ in found] == [document.id for document in documents]
    assert len({score for _, score in found}) == 1
    assert index.search(_vector(6), k=10) == found[:10]


def test_an_index_once_given_out_never_changes():
    before = FaissIndex.empty(DIMENSION).updated([(_document("a"), _vector(1))])
    after = before.updated([(_document("b"), _vector(2))], [_document("a").id])
    assert [id_ for id_, _ in before.search(_vector(1), k=5)] == ["tool:a"]
    assert [id_ for id_, _ in after.search(_vector(1), k=5)] == ["tool:b"]


def test_a_vector_of_another_length_is_refused_by_name():
    index = FaissIndex.empty(DIMENSION)
    with pytest.raises(EncoderError, match="tool:long has 9 numbers, the index 8"):
        index.updated([(_document("long"), np.ones(9, dtype=np.float32))])
    with pytest.raises(EncoderError, match="the query has 3 numbers"):
        index.search(np.ones(3, dtype=np.float32), k=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_refused_by_name(bad: float):
    vector = _vector(1)
    vector[3] = bad
    index = FaissIndex.empty(DIMENSION)
    with pytest.raises(EncoderError, match="tool:sick holds a number that is not finite"):
        index.updated([(_document("well"), _vector(2)), (_document("sick"), vector)])
    assert len(index) == 0


def test_its_rows_cannot_be_written_to():
    index = FaissIndex.empty(DIMENSION).updated([(_document("a"), _vector(1))])
    with pytest.raises(ValueError, match="read-only"):
        index.vectors[0, 0] = 5
