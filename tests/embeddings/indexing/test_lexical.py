"""BM25 as bm25s defines it, whatever happened before."""

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.postings import K1, B
from toolcrib_embeddings.indexing.scope import Scope
from toolcrib_embeddings.indexing.stemming import Stemmer
from toolcrib_registry.types import EntryKind, ServerName, entry_id


def _document(name: str, terms: str) -> Document:
    return Document(
        id=entry_id(EntryKind.TOOL, name),
        kind=EntryKind.TOOL,
        server=ServerName(name[-1]),
        name=name,
        text="",
        terms=terms,
    )


def _oracle(texts: dict[str, str], query: str) -> dict[str, float]:
    words = Stemmer().words
    corpus = [words(texts[id_]) for id_ in sorted(texts)]
    if not any(corpus):
        return dict.fromkeys(texts, 0.0)
    library = bm25s.BM25(method="lucene", k1=K1, b=B)
    library.index(corpus, show_progress=False)
    known = [word for word in words(query) if word in library.vocab_dict]
    scores = library.get_scores(known) if known else np.zeros(len(texts))
    return dict(zip(sorted(texts), scores.tolist(), strict=True))


_NAMES = st.sampled_from([f"tool{n:02}" for n in range(12)])
_TEXTS = st.lists(
    st.sampled_from(["convertTime", "time zone", "list files", "file", "search_web", "webs", "?"]),
    max_size=6,
).map(" ".join)
_STEPS = st.lists(
    st.tuples(st.lists(st.tuples(_NAMES, _TEXTS), max_size=8), st.sets(_NAMES, max_size=5)),
    max_size=5,
)


@settings(deadline=None)
@given(
    steps=_STEPS,
    query=_TEXTS,
    k=st.integers(1, 15),
    servers=st.none() | st.sets(st.sampled_from("0123456789")),
)
def test_scores_equal_a_fresh_index_of_the_library_after_any_changes(steps, query, k, servers):
    index, model = Bm25Index.empty(), {}
    for upserts, names in steps:
        removals = {entry_id(EntryKind.TOOL, name) for name in names}
        documents = [_document(name, text) for name, text in upserts]
        index = index.updated(documents, removals)
        model = {id_: text for id_, text in model.items() if id_ not in removals}
        model |= {document.id: document.terms for document in documents}
    expected = _oracle(model, query) if model else {}
    ids = sorted(model)
    assert np.allclose(
        index.scores([query, ""], ids), [[expected[i] for i in ids], [0] * len(ids)], atol=1e-5
    )

    found = index.search(query, k=k, scope=Scope.of(kinds=None, servers=servers))
    in_scope = {i: s for i, s in expected.items() if s > 0 and (not servers or i[-1] in servers)}
    in_scope = in_scope if servers != set() else {}
    assert len(found) == min(k, len(in_scope))
    assert np.allclose(
        [score for _, score in found], sorted(in_scope.values())[::-1][: len(found)], atol=1e-5
    )
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize(
    "query", ["converting times", "convertTime", "convert_time", "CONVERT-TIME", "time converter"]
)
def test_a_name_is_found_by_its_words_in_any_spelling(query: str):
    index = Bm25Index.empty().updated(
        [_document("a", "convertTimes"), _document("b", "list files"), _document("c", "other")]
    )
    assert index.search(query, k=5)[0][0] == "tool:a"


def test_nothing_is_found_for_words_that_are_nowhere():
    index = Bm25Index.empty().updated([_document("a", "list files")])
    assert index.search("quantum 東京 \ud800 !!", k=5) == []
    assert Bm25Index.empty().search("list", k=5) == []


def _made_up_word(number: int) -> str:
    return "q" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "q"


def test_words_of_removed_entries_are_forgotten():
    index = Bm25Index.empty()
    for n in range(80):
        words = " ".join(_made_up_word(40 * n + m) for m in range(40))
        index = index.updated([_document("same", words)])
    assert len(index.vocabulary) < 1_200
    assert index.search(_made_up_word(3_199), k=1)[0][0] == "tool:same"
    assert index.search(_made_up_word(1), k=1) == []


def test_equal_scores_are_cut_by_id():
    documents = [_document(f"tool{n:03}", "get stock price") for n in range(300)]
    found = Bm25Index.empty().updated(documents[::-1]).search("stock price", k=10)
    assert [id_ for id_, _ in found] == [document.id for document in documents[:10]]


def test_more_than_65536_words_keep_their_places():
    documents = [
        _document(f"tool{n:02}", " ".join(_made_up_word(2_000 * n + m) for m in range(2_000)))
        for n in range(40)
    ]
    index = Bm25Index.empty().updated(documents)
    assert len(index.vocabulary) > 80_000
    for n in range(40):
        assert [i for i, _ in index.search(_made_up_word(2_000 * n), k=3)] == [documents[n].id]


def test_the_name_is_covered_by_the_share_of_its_words_that_is_asked_for():
    index = Bm25Index.empty().updated(
        [_document("convert_time", "x"), _document("listFiles", "y"), _document("time", "z")]
    )
    ids = [entry_id(EntryKind.TOOL, name) for name in ("convert_time", "listFiles", "time")]
    asked = ["convert the time time", "listing of a file", "nothing"]
    covered = index.name_coverage(asked, ids)
    assert covered[0].tolist() == pytest.approx([1, 0, 1])
    assert covered[1].tolist() == pytest.approx([0, 1, 0])
    assert covered[2].tolist() == [0, 0, 0]
    assert 0 < index.name_coverage(["time"], ids)[0][0] < 0.5, "the rarer word counts more"


@pytest.mark.parametrize("slip", ["emial", "emai", "emaill", "emeil"])
def test_a_slip_of_one_letter_finds_what_was_meant(slip: str):
    index = Bm25Index.empty().updated(
        [_document("send_email", "send an email"), _document("list", "list the files")]
    )
    found = index.search(f"{slip}s please" if slip == "emai" else f"an {slip} please", k=1)
    assert found[0][0] == "tool:send_email"


@pytest.mark.parametrize("word", ["emal", "Emial", "EMIAL", "été12", "x" * 30, "qwertz"])
def test_short_words_names_and_what_is_near_nothing_stay_unknown(word: str):
    index = Bm25Index.empty().updated([_document("send_email", "send email")])
    assert index.codes(word) == [None] * len(index.codes(word))


def test_a_known_word_is_never_corrected():
    index = Bm25Index.empty().updated([_document("a", "trail"), _document("b", "email train")])
    assert index.codes("train") == [index.vocabulary["train"]]
