"""An index that says whether anything fits, with the real model."""

from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings import Document, SearchIndex, SentenceTransformerEncoder, render_document
from toolcrib_embeddings.abstention.calibration import LEAST_PROBES
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import Revision, ServerName, Tool

_DOES = {
    "time": ("Tell the current time in a city", "Convert a time between two zones"),
    "files": ("Read a text file", "Delete a folder from disk", "List the files of a folder"),
    "git": ("Show uncommitted changes", "Commit staged changes", "Create a branch"),
    "mail": ("Send an email message", "Search the inbox for messages", "Reply to an email"),
    "maps": ("Find a route between two places", "Geocode a street address"),
    "shop": ("Order a product", "Track a parcel", "Cancel an order", "Refund a payment"),
    "music": ("Play a song", "Create a playlist", "Search for an artist"),
    "health": ("Log a meal", "Count steps walked today", "Record blood pressure"),
}


def _documents() -> list[Document]:
    return [
        render_document(
            Tool(
                name=f"{server}__{'_'.join(does.lower().split())}",
                description=f"{does}.",
                server=ServerName(server),
                local_name="_".join(does.lower().split()),
                definition={},
            )
        )
        for server, listed in _DOES.items()
        for does in listed
    ]


@pytest.fixture(scope="module")
def index(real_encoder: SentenceTransformerEncoder) -> SearchIndex:
    """Index 22 tools and calibrate by them."""
    documents = _documents()
    made = SearchIndex(real_encoder)
    vectors = real_encoder.encode([document.text for document in documents])
    made.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    assert made.wants_calibration
    by_id = {document.id: document for document in documents}
    made.calibrate(lambda ids: [by_id[id_] for id_ in ids])
    assert not made.wants_calibration
    return made


@pytest.mark.parametrize(
    "query", ["what time is it in Tokyo", "send a message to Anna", "which files are in my folder"]
)
def test_what_is_there_is_likely(index: SearchIndex, query: str):
    ranking = index.search(query, k=3)
    assert not ranking.abstained
    assert ranking.likelihood is not None
    assert ranking.likelihood > 0.5
    assert all(0 <= (hit.likelihood or 0) <= ranking.likelihood for hit in ranking.hits)


@pytest.mark.parametrize(
    "query", ["the proof of Fermat's last theorem", "asdf qwer zxcv", "who was Julius Caesar"]
)
def test_what_is_not_there_is_said_to_be_unlikely_and_the_nearest_are_shown(
    index: SearchIndex, query: str
):
    ranking = index.search(query, k=3)
    assert ranking.abstained
    assert len(ranking.hits) == 3
    assert (ranking.likelihood or 0) < 0.5


def test_a_calibration_is_kept_with_the_snapshot(index: SearchIndex, tmp_path: Path):
    index.save(tmp_path)
    loaded = SearchIndex.load(tmp_path, index.encoder)
    assert not loaded.wants_calibration
    for query in ("send a message", "who was Julius Caesar"):
        assert loaded.search(query, k=3) == index.search(query, k=3)


def test_an_index_asks_to_be_calibrated_again_when_it_has_grown_by_a_fifth():
    index = SearchIndex(HashEncoder())
    documents = _documents() * 1
    vectors = index.encoder.encode([document.text for document in documents])
    pairs = list(zip(documents, vectors, strict=True))
    index.update(pairs[: LEAST_PROBES - 1], (), revision=Revision(1))
    assert not index.wants_calibration, "too few to learn from"
    index.update(pairs[:LEAST_PROBES], (), revision=Revision(2))
    assert index.wants_calibration
    index.calibrate(lambda ids: [document for document in documents if document.id in set(ids)])
    assert not index.wants_calibration
    index.update(pairs, (), revision=Revision(3))
    assert index.wants_calibration == (len(pairs) > 1.2 * LEAST_PROBES)


def test_entries_that_went_meanwhile_do_not_hinder_calibration():
    index = SearchIndex(HashEncoder())
    documents = _documents()
    vectors = index.encoder.encode([document.text for document in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    index.calibrate(lambda _: [])
    assert np.isfinite(index.search("send a message", k=1).likelihood or np.nan)


def test_each_step_is_covered_and_one_that_nothing_fits_is_named(index: SearchIndex):
    ranking = index.search(["send an email to Anna", "track my parcel"], k=2)
    assert set(ranking.ids) == {"tool:mail__send_an_email_message", "tool:shop__track_a_parcel"}
    assert ranking.unanswered == ()
    ranking = index.search(["send an email to Anna", "who was Julius Caesar"], k=3)
    assert ranking.unanswered == (1,)
    assert ranking.ids[0] == "tool:mail__send_an_email_message"


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (
            "tell me the current time in Rome and then send an email to my team",
            {"time__tell_the_current_time_in_a_city", "mail__send_an_email_message"},
        ),
        (
            "commit my staged changes and also cancel my order",
            {"git__commit_staged_changes", "shop__cancel_an_order"},
        ),
        (
            ["commit my changes", "create a playlist", "log my breakfast"],
            {"git__commit_staged_changes", "music__create_a_playlist", "health__log_a_meal"},
        ),
    ],
)
def test_the_right_tool_of_each_step_is_likely_and_no_other(
    index: SearchIndex, task: str | list[str], names: set[str]
):
    ranking = index.search(task, k=4)
    likely = {hit.id.removeprefix("tool:"): hit.likelihood or 0 for hit in ranking.hits}
    assert min(likely.pop(name) for name in names) > 0.4
    assert max(likely.values()) < 0.2
    assert min(ranking.step_likelihoods) > 0.8


@pytest.mark.parametrize(
    "task",
    [
        ["send an email to Anna", "who was Julius Caesar"],
        "send an email to Anna. Who was Julius Caesar the general?",
    ],
)
def test_a_step_that_nothing_fits_stays_unlikely(index: SearchIndex, task: str | list[str]):
    ranking = index.search(task, k=5)
    sends, foreign = ranking.step_likelihoods
    assert sends > 0.8
    assert foreign < 0.25
    best, *others = ranking.hits
    assert best.id == "tool:mail__send_an_email_message"
    assert (best.likelihood or 0) > 0.4
    assert all((hit.likelihood or 0) < 0.2 for hit in others)


@pytest.mark.parametrize(
    "task",
    [
        ["who was Julius Caesar", "the proof of Fermat's last theorem"],
        "Who was Julius Caesar the general? What does Fermat's last theorem say?",
    ],
)
def test_foreign_questions_of_several_clauses_are_abstained_on(
    index: SearchIndex, task: str | list[str]
):
    ranking = index.search(task, k=5)
    assert ranking.abstained
    assert (ranking.likelihood or 0) < 0.15
    assert all((hit.likelihood or 0) < 0.1 for hit in ranking.hits)


def test_lines_are_steps(index: SearchIndex):
    ranking = index.search("send an email to Anna\ntrack my parcel today\n\n", k=2)
    assert ranking.steps == ("send an email to Anna", "track my parcel today")
