"""A registry that learns its own scale, and what it then says of questions."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from toolcrib_embeddings import Document, SentenceTransformerEncoder
from toolcrib_embeddings.abstention.calibration import Basis, Calibration
from toolcrib_embeddings.abstention.probes import calibrate, choose, make_probes, measure_probes
from toolcrib_embeddings.abstention.signals import Background, Rarity, SearchSignals
from toolcrib_embeddings.documents.corpus import Component
from toolcrib_embeddings.documents.words import split_words
from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.indexing.lexical import Bm25Index
from toolcrib_embeddings.indexing.stemming import Stemmer
from toolcrib_embeddings.testing import HashEncoder

TOOLS = {
    "convert_time": "Convert a clock time from one timezone to another timezone",
    "current_weather": "Report temperature, wind and rain right now for a city",
    "send_email": "Send an email message with subject and body to a recipient",
    "create_issue": "Open a new issue in a GitHub repository with title and labels",
    "merge_branch": "Merge one git branch into another branch of the repository",
    "resize_image": "Change width and height of an image file and save it",
    "translate_text": "Translate a passage of text from one language into another",
    "book_flight": "Reserve an airline ticket between two airports on a date",
    "stock_price": "Get the latest share price of a company by its ticker symbol",
    "play_song": "Play a song or an album of an artist on the speaker",
    "query_database": "Run a read-only SQL statement against the customer database",
    "summarize_pdf": "Summarize a long PDF document in a few sentences",
}
ASKED = {
    "What time is it in Tokyo when it is noon in Paris?": "convert_time",
    "Is it raining in Oslo at the moment?": "current_weather",
    "Email my boss that I am ill today": "send_email",
    "Shrink this photo to 800 by 600": "resize_image",
    "How do I say this paragraph in Spanish?": "translate_text",
    "How much is one Apple share worth?": "stock_price",
}
FOREIGN = (
    "Which enzyme unwinds the DNA double helix during replication?",
    "Prove that the square root of two is irrational",
    "Who ruled Prussia during the Seven Years' War?",
)


class Registry:
    """Documents with their vectors and words, asked as a search would ask them."""

    def __init__(self, documents: Sequence[Document], encoder: Encoder) -> None:
        self.encoder = encoder
        self.lexical = Bm25Index.empty().updated(documents)
        by_id = {document.id: document for document in documents}
        self.documents = [by_id[id_] for id_ in self.lexical.roster.ids]
        self.vectors = encoder.encode([document.text for document in self.documents])
        idf = self.lexical.postings.idf(len(self.lexical.vocabulary))
        self.rarity = Rarity(idf, rows=len(self.documents))

    def word_scores(self, text):
        scores = np.zeros(len(self.documents), dtype=np.float32)
        for id_, score in self.lexical.search(text, k=len(self.documents)):
            scores[self.lexical.roster.rows[id_]] = score
        codes = [self.lexical.vocabulary.get(word) for word in Stemmer().words(text)]
        return scores, self.rarity.possible(codes)

    def measure(self, text):
        vector = self.encoder.encode([text])[0]
        lexical, possible = self.word_scores(text)
        return SearchSignals.measure(
            self.vectors @ vector,
            lexical,
            possible=possible,
            background=Background.of(self.vectors).describe(vector),
        )

    def probes(self):
        return make_probes(enumerate(self.documents))

    def calibrate(self):
        return calibrate(self.probes(), self.vectors, self.encoder, self.word_scores)


@pytest.fixture
def documents(document):
    return [document(name, f"{name.replace('_', ' ')}: {said}. s.") for name, said in TOOLS.items()]


def test_questions_are_made_of_the_words_of_the_description_the_same_each_time(documents):
    probes = make_probes(enumerate(documents))
    assert probes == make_probes(enumerate(documents))
    assert {probe.row for probe in probes} == set(range(len(documents)))
    for probe in probes:
        assert set(probe.text.split()) <= set(split_words(documents[probe.row].text))
        assert len(probe.text.split()) == 4
        assert "the" not in probe.text.split()


def test_a_description_is_asked_for_next_to_the_whole_text(document):
    whole = document("a", "a: alpha beta gamma delta epsilon zeta eta theta")
    told = Document(
        id=whole.id,
        kind=whole.kind,
        server=whole.server,
        name=whole.name,
        text=whole.text,
        terms=whole.terms,
        components={Component.DESCRIPTION: "alpha beta gamma delta"},
    )
    texts = [probe.text for probe in make_probes([(0, told)])]
    assert texts[0] == "alpha beta gamma delta"
    assert len(texts) == 2


@pytest.mark.parametrize("text", ["", "x", "one two three", "the of and to a in is it"])
def test_a_document_without_enough_words_gives_no_question(document, text):
    assert make_probes([(0, document("a", text))]) == []


@pytest.mark.parametrize(("count", "chosen"), [(0, 0), (1, 1), (159, 159), (20_000, 160)])
def test_probed_entries_are_spread_over_the_registry(count, chosen):
    rows = choose(count)
    assert len(rows) == len(set(rows)) == chosen
    assert all(0 <= row < count for row in rows)
    assert not rows or rows[-1] == count - 1
    gaps = {after - before for before, after in pairwise(rows)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_a_probe_without_its_tool_and_its_doubles_finds_less(documents, document):
    twin = document("twin", documents[0].text)
    registry = Registry([*documents, twin], HashEncoder())
    present, absent = measure_probes(
        registry.probes(), registry.vectors, registry.encoder, registry.word_scores
    )
    assert len(present) == len(absent) == len(registry.probes())
    assert all(p.evidence > a.evidence for p, a in zip(present, absent, strict=True))


def test_a_registry_without_words_is_judged_by_the_shipped_scale(document):
    registry = Registry([document("a", "a"), document("b", "b")], HashEncoder())
    assert registry.calibrate() == Calibration.shipped()


def test_the_doubles_of_everything_leave_nothing_to_compare_with(document):
    registry = Registry(
        [document(f"t{n}", "t: same words in every tool here") for n in range(12)], HashEncoder()
    )
    calibration = registry.calibrate()
    assert np.isfinite(calibration.level)
    assert 0 < calibration.threshold(0.1) < 1


def test_a_calibrated_registry_tells_its_own_questions_from_foreign_ones(
    documents, real_encoder: SentenceTransformerEncoder
):
    registry = Registry(documents, real_encoder)
    calibration = registry.calibrate()
    assert calibration.basis is Basis.REGISTRY
    own = [calibration.likelihood(registry.measure(text)) for text in ASKED]
    foreign = [calibration.likelihood(registry.measure(text)) for text in FOREIGN]
    assert max(foreign) < min(own)
    assert min(own) > calibration.threshold(0.2) > calibration.threshold(0.05)
    assert sum(value < calibration.threshold(0.2) for value in foreign) >= 2


def test_a_question_whose_tool_is_gone_is_less_likely_than_before(
    documents, real_encoder: SentenceTransformerEncoder
):
    calibration = Registry(documents, real_encoder).calibrate()
    for text, name in ASKED.items():
        rest = [document for document in documents if document.name != name]
        with_it = calibration.likelihood(Registry(documents, real_encoder).measure(text))
        without = calibration.likelihood(Registry(rest, real_encoder).measure(text))
        assert without < with_it, text


def test_a_registry_of_one_answers_its_own_question_and_not_a_foreign_one(
    documents, real_encoder: SentenceTransformerEncoder
):
    by_name = {document.name: document for document in documents}
    for text, name in ASKED.items():
        registry = Registry([by_name[name]], real_encoder)
        calibration = registry.calibrate()
        assert calibration == Calibration.shipped()
        assert calibration.likelihood(registry.measure(text)) >= calibration.threshold(0.05), text
        for other in FOREIGN:
            assert calibration.likelihood(registry.measure(other)) < calibration.threshold(0.1)
