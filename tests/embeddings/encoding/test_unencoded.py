"""Without an encoder, or without some vectors, search goes by words and says so."""

from collections.abc import Sequence

import numpy as np
import pytest

from toolcrib_embeddings import Document, NoEncoder, Rerank, SearchIndex, SearchOptions
from toolcrib_embeddings.encoding.encoder import Encoding, Progress
from toolcrib_embeddings.indexing.index import FaissIndex
from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_registry.errors import EncoderError
from toolcrib_registry.types import EntryId, EntryKind, Revision, ServerName

TEXTS = {
    "clock": "tell the time in a city",
    "files": "list the files of a folder",
    "mail": "send a letter by mail",
}


def documents() -> list[Document]:
    return [
        Document(
            id=EntryId(f"tool:s__{name}"),
            kind=EntryKind.TOOL,
            server=ServerName("s"),
            name=f"s__{name}",
            local_name=name,
            text=text,
            terms=f"{name} {text}",
            revision=Revision(number),
        )
        for number, (name, text) in enumerate(TEXTS.items(), start=1)
    ]


def filled(encoder: NoEncoder | HashEncoder, *, without: Sequence[str] = ()) -> SearchIndex:
    index = SearchIndex(encoder)
    zero = np.zeros(encoder.dimension, dtype=np.float32)
    upserts = [
        (doc, zero if doc.local_name in without else encoder.encode([doc.text])[0])
        for doc in documents()
    ]
    index.update(upserts, (), revision=Revision(3))
    return index


class Failing(HashEncoder):
    """Fails at every question."""

    def encode(self, texts: Sequence[str], *, on_progress: Progress | None = None) -> FloatMatrix:
        raise EncoderError("out of memory")

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        raise EncoderError("out of memory")


@pytest.mark.parametrize("rerank", list(Rerank))
@pytest.mark.parametrize("query", ["files of a folder", ["files of a folder", "the time"]])
def test_words_answer_where_there_is_no_encoder(query: str | list[str], rerank: Rerank):
    ranking = filled(NoEncoder("no weights")).search(
        query, k=3, options=SearchOptions(rerank=rerank)
    )
    assert ranking.ids[0] == "tool:s__files"
    assert ranking.lexical_only == "no weights"
    assert ranking.likelihood is None
    assert not ranking.abstained
    assert all("dense" not in hit.signals for hit in ranking.hits)
    assert all(hit.likelihood is None for hit in ranking.hits)


def test_words_that_stand_nowhere_find_nothing_rather_than_anything():
    ranking = filled(NoEncoder("no weights")).search("zebra", k=3)
    assert ranking.hits == ()
    assert ranking.lexical_only == "no weights"


def test_a_question_that_cannot_be_encoded_is_answered_by_words_and_not_remembered():
    index = filled(HashEncoder())
    well = index.search("files of a folder", k=3)
    index.encoder = Failing()
    ill = index.search("the time in a city", k=3)
    assert ill.ids[0] == "tool:s__clock"
    assert ill.lexical_only == "out of memory"
    index.encoder = HashEncoder()
    assert index.search("the time in a city", k=3).lexical_only is None
    assert well.lexical_only is None


def test_an_entry_without_a_vector_is_found_by_its_words_and_counted():
    index = filled(HashEncoder(), without=["files"])
    assert index.unembedded == {"tool:s__files"}
    ranking = index.search("files of a folder", k=3)
    assert ranking.ids[0] == "tool:s__files"
    assert "dense" not in ranking.hits[0].signals
    assert ranking.lexical_only is not None
    assert "1 of 3 entries" in ranking.lexical_only


def test_a_vector_that_comes_later_closes_the_gap():
    encoder = HashEncoder()
    index = filled(encoder, without=["files"])
    late = next(doc for doc in documents() if doc.local_name == "files")
    index.update([(late, encoder.encode([late.text])[0])], (), revision=Revision(3))
    assert index.unembedded == frozenset()
    assert index.search("files of a folder", k=3).lexical_only is None


def test_a_gap_survives_other_changes_and_a_snapshot(tmp_path):
    encoder = HashEncoder()
    index = filled(encoder, without=["files"])
    index.update([], [EntryId("tool:s__clock")], revision=Revision(4))
    assert index.unembedded == {"tool:s__files"}
    index.save(tmp_path)
    again = SearchIndex.load(tmp_path, encoder)
    assert again.unembedded == {"tool:s__files"}
    assert again.revisions() == {"tool:s__files": 2, "tool:s__mail": 3}


def test_nothing_is_calibrated_without_an_encoder():
    assert not filled(NoEncoder("no weights")).wants_calibration


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_row_of_a_file_that_is_no_vector_is_seen(value: float):
    whole = FaissIndex.empty(4).updated(
        [(document, np.eye(4, dtype=np.float32)[row]) for row, document in enumerate(documents())]
    )
    assert whole.unembedded == frozenset()
    spoilt = whole.vectors.copy()
    spoilt[1] = value
    assert FaissIndex(whole.roster, spoilt).unembedded == {whole.roster.ids[1]}
