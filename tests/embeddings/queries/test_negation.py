"""What a query says is not wanted, and what is searched for instead."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import Document, SearchIndex
from toolcrib_embeddings.queries.negation import Wish, read_query
from toolcrib_embeddings.queries.steps import MAX_QUERY_CHARS, clean_query
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import Revision

from ..conftest import MakeDocument


@pytest.mark.parametrize(
    ("query", "text", "unwanted"),
    [
        ("Move this file, do not delete it", "Move this file", ["do not delete it"]),
        ("Read the file without writing to it", "Read the file", ["without writing to it"]),
        ("Don't send mail, list the latest ones", "list the latest ones", ["Don't send mail"]),
        (
            "List the inbox. Never delete anything. Then count it.",
            "List the inbox. Then count it.",
            ["Never delete anything"],
        ),
        ("Archive the page instead of deleting it", "Archive the page", ["instead of deleting it"]),
        ("Put a footnote, not an endnote, in it", "Put a footnote in it", ["not an endnote"]),
        (
            "Update the task but please don't move it",
            "Update the task",
            ["but please don't move it"],
        ),
    ],
)
def test_what_is_not_wanted_is_left_out(query: str, text: str, unwanted: list[str]) -> None:
    assert read_query(query) == Wish(text, tuple(unwanted))


@pytest.mark.parametrize(
    "query",
    [
        "I do not know how to cook, find me recipes",
        "They don't answer the phone: call them again",
        "find issues that are not closed",
        "what did I change in my working copy and not commit yet",
        "all regions, including but not limited to Europe",
        "Find a way to send a letter without a stamp",
        "do not delete",
        "not this, not that",
        "",
    ],
)
def test_what_is_no_order_or_all_there_is_stays(query: str) -> None:
    assert read_query(query) == Wish(query)


@given(st.text(alphabet=st.sampled_from("do not but never without ing,.;\n x"), max_size=200))
def test_of_any_query_something_is_left_and_nothing_is_added(query: str) -> None:
    wish, plain = read_query(query), clean_query(query)
    assert bool(wish.text) == bool(plain)
    assert Counter(re.findall(r"\w+", wish.text)) <= Counter(re.findall(r"\w+", plain))
    assert wish.unwanted or wish.text == plain


def test_a_query_is_read_up_to_its_first_characters_and_fast() -> None:
    assert len(read_query("and not " * 100_000).text) <= MAX_QUERY_CHARS


def test_a_search_finds_what_is_wanted_and_says_what_it_did_not_look_for(
    document: MakeDocument,
) -> None:
    listed = ("move a file", "delete a file", "read a file")
    documents: list[Document] = [document(text.replace(" ", "_"), text) for text in listed]
    index = SearchIndex(HashEncoder())
    vectors = index.encoder.encode([each.text for each in documents])
    index.update(list(zip(documents, vectors, strict=True)), (), revision=Revision(1))
    asked = index.search("move a file, do not delete or read it", k=3)
    plain = index.search("move a file", k=3)
    assert asked.unwanted == ("do not delete or read it",)
    assert (asked.ids, plain.unwanted) == (plain.ids, ())
