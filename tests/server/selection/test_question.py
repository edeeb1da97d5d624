"""A question is checked before anything is loaded for it."""

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import EntryKind
from toolcrib_server.selection.question import (
    EVERY_STAGE,
    MAX_K,
    MAX_QUERY_CHARS,
    MAX_STEPS,
    NO_FILTERS,
    Filters,
    Question,
    ask,
)


def asked(query, k=5) -> Question:
    return ask(query, k=k, filters=NO_FILTERS, stages=EVERY_STAGE)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "\n\t",
        "\x00\x01\x02",
        "\x7f\x9f",
        "\ufeff\u200b",
        "\ud800",
        [],
        [""],
        [" ", "\0"],
    ],
)
def test_a_query_of_nothing_that_can_be_read_is_refused(query):
    with pytest.raises(InvalidInput, match="say what the task is"):
        asked(query)


def test_a_query_of_a_megabyte_is_refused_without_being_repeated():
    with pytest.raises(InvalidInput, match="1000000 characters; the limit is 100000") as caught:
        asked("x" * 1_000_000)
    assert len(caught.value.detail) < 200
    with pytest.raises(InvalidInput, match="the limit"):
        asked(["x" * 60_000] * 2)
    assert asked("x" * MAX_QUERY_CHARS).query


@pytest.mark.parametrize("k", [0, -1, 10_000, MAX_K + 1])
def test_a_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidInput, match=f"k is {k}; it must be from 1 to 1000"):
        asked("x", k=k)


def test_of_a_list_blank_steps_are_passed_over_and_one_step_is_a_plain_query():
    assert asked(["find", " ", "\0", "book"]).query == ("find", "book")
    assert asked(["find", ""]).query == asked("find").query == "find"
    assert asked(["find"]) == asked("find")


def test_too_many_steps_are_refused():
    assert asked([f"step {i}" for i in range(MAX_STEPS)]).query
    with pytest.raises(InvalidInput, match="17 steps; the limit is 16"):
        asked([f"step {i}" for i in range(MAX_STEPS + 1)])


def test_control_characters_among_words_are_allowed():
    assert asked("find\x00 it").query == "find\x00 it"


def test_equal_questions_are_one_key():
    one = ask("x", k=1, filters=Filters.of(tags=["a", "b"]), stages=EVERY_STAGE)
    other = ask("x", k=1, filters=Filters.of(tags=["b", "a"]), stages=EVERY_STAGE)
    assert {one: 1}[other] == 1


def test_no_filter_is_empty_and_a_filter_is_not():
    assert Filters.of().is_empty
    assert Filters.of(tags=[]).is_empty
    assert not Filters.of(kinds=[EntryKind.TOOL]).is_empty
    assert not Filters.of(read_only=True).is_empty
    assert not Filters.of(destructive=False).is_empty


def test_a_blank_tag_is_refused():
    with pytest.raises(InvalidInput, match="A tag is blank"):
        Filters.of(tags=["a", " "])
