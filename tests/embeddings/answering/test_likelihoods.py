"""How likely the parts of a task make what was found: laws, with words alone as meaning."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import Document, Ranking, SearchIndex, SearchOptions, render_document
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import Revision, ServerName, Tool

from ..conftest import MakeDocument

_DOES = (
    "send a letter to a friend",
    "send a parcel abroad",
    "book a flight to a city",
    "book a table for dinner",
    "play a quiet song",
    "and then",
    "can you help me with that",
)
_ROUNDING = 1e-6
_AGES = {"a": 3.0, "b": 2.0, "z": 1.0}
"""Of copies: the last is the oldest, and stands for the others, which rank before it."""


def _document(server: str, does: str) -> Document:
    name = "_".join(does.split())
    return render_document(
        Tool(
            name=f"{server}__{name}",
            description=does,
            server=ServerName(server),
            local_name=name,
            definition={},
        )
    )


def _index(*documents: Document) -> SearchIndex:
    made = SearchIndex(HashEncoder())
    vectors = made.encoder.encode([document.text for document in documents])
    made.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    return made


@pytest.fixture(scope="module")
def index() -> SearchIndex:
    """Hold a tool for each thing that can be done."""
    return _index(*(_document("s", does) for does in _DOES))


CLAUSES = st.lists(
    st.lists(
        st.sampled_from([*{word for does in _DOES for word in does.split()}, "quark", "opera"]),
        min_size=1,
        max_size=6,
    ).map(" ".join),
    min_size=1,
    max_size=5,
)


def likely(ranking: Ranking, does: str) -> float:
    (hit,) = (hit for hit in ranking.hits if hit.id.endswith("_".join(does.split())))
    assert hit.likelihood is not None
    return hit.likelihood


@given(CLAUSES)
def test_steps_only_add_and_no_hit_is_likelier_than_the_search(
    index: SearchIndex, clauses: list[str]
):
    text = ". ".join(clauses)
    whole = index.search(text, k=7, options=SearchOptions(split=False))
    split = index.search(text, k=7)
    assert whole.likelihood is not None
    assert split.likelihood is not None
    assert len(split.step_likelihoods) == len(split.steps)
    assert whole.abstained or not split.abstained
    assert whole.likelihood <= split.likelihood
    assert split.likelihood <= max(whole.likelihood, *split.step_likelihoods, 0) + _ROUNDING
    before = {hit.id: hit.likelihood or 0 for hit in whole.hits}
    for hit in split.hits:
        assert hit.likelihood is not None
        assert before[hit.id] <= hit.likelihood <= split.likelihood + _ROUNDING
        assert hit.steps or hit.likelihood == before[hit.id], "by the whole alone"
    if split.abstained or not split.steps:
        assert {hit.id: hit.likelihood for hit in split.hits} == before
        assert split.likelihood == whole.likelihood


def test_a_step_said_again_makes_nothing_likelier(index: SearchIndex):
    once = index.search("book a table for dinner. send a letter to a friend", k=7)
    again = index.search("book a table for dinner. " + "send a letter to a friend. " * 9, k=7)
    assert len(again.steps) == 10
    assert again.step_likelihoods[1:] == (once.step_likelihoods[1],) * 9
    highest = max(once.likelihood or 0, *once.step_likelihoods)
    assert all((hit.likelihood or 0) <= highest for hit in again.hits)


@pytest.mark.parametrize("others", [8, 12, 30])
def test_what_fits_one_step_is_likely_beside_a_long_one_that_nothing_fits(
    index: SearchIndex, others: int
):
    foreign = " ".join(f"quark{n}" for n in range(others))
    ranking = index.search(["play a quiet song", foreign], k=3)
    assert not ranking.abstained
    assert ranking.unanswered == (1,)
    assert ranking.likelihood == likely(ranking, "play a quiet song")
    assert likely(ranking, "play a quiet song") > 0.9


def test_one_of_many_fragments_that_fits_something_does_not_keep_a_search_from_abstaining(
    index: SearchIndex,
):
    fragments = [f"quark{n} boson{n} gluon{n} lepton{n}" for n in range(9)]
    ranking = index.search([*fragments, "play a quiet song"], k=3)
    assert ranking.step_likelihoods[9] > 0.9
    assert ranking.abstained
    assert likely(ranking, "play a quiet song") < 0.1


def test_where_a_search_abstains_no_step_makes_a_hit_likely(index: SearchIndex):
    foreign = " ".join(f"quark{n}" for n in range(30))
    ranking = index.search([foreign, "where does the quiet opera play"], k=3)
    assert ranking.abstained
    assert ranking.step_likelihoods[1] > 0.5
    assert (ranking.likelihood or 0) < 0.1
    assert all((hit.likelihood or 0) < 0.1 for hit in ranking.hits)


def test_of_two_that_one_step_makes_likely_the_second_waits_for_the_first(document: MakeDocument):
    twins = [document(name, "send a letter to a friend") for name in ("one", "two")]
    other = document("other", "play a quiet song by the sea for all of us at home")
    steps = ["send a letter to a friend", "play a quiet song by the sea for all of us at home"]
    ranking = _index(*twins, other).search(steps, k=3)
    by_name = {hit.id.removeprefix("tool:"): hit.likelihood or 0 for hit in ranking.hits}
    first, second = by_name["one"], by_name["two"]
    assert by_name["other"] > 0.5
    assert first > 0.9
    assert second < 0.5


@pytest.mark.parametrize("remark", ["and then", "Can you help me with that?"])
def test_a_tool_that_says_what_a_remark_says_is_not_likely_for_it(index: SearchIndex, remark: str):
    ranking = index.search(["send a letter to a friend", remark], k=7)
    assert ranking.step_likelihoods[1] > 0.5, "it does say that"
    assert likely(ranking, "send a letter to a friend") > 0.5
    assert likely(ranking, remark.strip("?").lower()) < 0.3


def test_a_tool_stands_for_the_steps_of_its_copies(index: SearchIndex):
    letter = "send a letter to a friend"
    copies = [replace(_document(server, letter), added_at_s=at) for server, at in _AGES.items()]
    crowded = _index(*copies, *(_document("s", does) for does in _DOES if does != letter))
    steps = ["book a table for dinner", letter]
    (hit,) = (hit for hit in crowded.search(steps, k=4).hits if hit.alternatives)
    assert hit.id == "tool:z__send_a_letter_to_a_friend"
    assert hit.steps == (1,)
    assert hit.likelihood == pytest.approx(likely(index.search(steps, k=4), letter), abs=0.1)
