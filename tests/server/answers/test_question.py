"""Two requests have one key only where everything that an answer depends on is the same."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.answers.question import LONGEST, LONGEST_NEAR, Asked, Question, question_of
from toolcrib_server.answers.wish import CacheMode, CacheWish, read_wish
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.models import Objective

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "What is the capital of France?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,x"}}
BODY = {"model": "auto", "temperature": 0, "messages": [SYSTEM, USER]}
ASKED = Asked(
    tenant="key-1",
    model="auto",
    body=BODY,
    constraints=Constraints(),
    objective=None,
    wish=CacheWish(),
)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def ask(allowed: CacheMode = CacheMode.SEMANTIC, **body) -> Question | str:
    return question_of(replace(ASKED, body=BODY | body), allowed)


def made(asked: Asked) -> Question:
    question = question_of(asked, CacheMode.SEMANTIC)
    assert isinstance(question, Question)
    return question


def said(text) -> Asked:
    messages = [SYSTEM, {"role": "user", "content": text}]
    return replace(ASKED, body=BODY | {"messages": messages})


CHANGES = {
    "tenant": replace(ASKED, tenant="key-2"),
    "model": replace(ASKED, model="auto:cheapest"),
    "limits": replace(ASKED, constraints=Constraints(max_price_in_usd=1.0)),
    "providers": replace(ASKED, constraints=Constraints(providers=frozenset({"acme"}))),
    "objective": replace(ASKED, objective=Objective.COST),
    "parameter": replace(ASKED, body=BODY | {"max_tokens": 5}),
    "seed": replace(ASKED, body=BODY | {"seed": 1}),
    "end user": replace(ASKED, body=BODY | {"user": "ada"}),
    "schema": replace(ASKED, body=BODY | {"response_format": {"type": "json_object"}}),
    "system prompt": replace(ASKED, body=BODY | {"messages": [USER]}),
    "earlier turn": replace(ASKED, body=BODY | {"messages": [SYSTEM, USER, USER]}),
    "name of who speaks": replace(ASKED, body=BODY | {"messages": [SYSTEM, USER | {"name": "a"}]}),
    "parts": said([{"type": "text", "text": USER["content"]}]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_of_anything_is_another_question_near_ones_included(name):
    one, other = made(ASKED), made(CHANGES[name])
    assert one.key != other.key
    assert one.scope != other.scope


def test_another_last_message_is_another_question_of_the_same_scope():
    one, other = made(ASKED), made(said("What is the capital of Spain?"))
    assert one.key != other.key
    assert one.scope == other.scope


def test_a_stream_asks_what_a_whole_answer_asks():
    streamed = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    assert made(replace(ASKED, body=streamed)) == made(ASKED)


@given(JSON, JSON)
def test_what_a_caller_writes_in_one_field_never_reads_as_another(one, other):
    a = made(replace(ASKED, body=BODY | {"stop": one, "user": other}))
    b = made(replace(ASKED, body=BODY | {"stop": other, "user": one}))
    assert (a.key == b.key) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


@given(ANY_TEXT, ANY_TEXT)
def test_texts_have_one_key_only_where_they_are_equal_halves_of_characters_included(one, other):
    assert (made(said(one)).key == made(said(other)).key) == (one == other)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"tools": [{"type": "function"}]}, "it offers tools"),
        ({"functions": [{}]}, "it offers tools"),
        ({"messages": [USER, "hello"]}, "its messages are no messages"),
        ({"n": 2}, "it wants several answers"),
        ({"temperature": 0.2}, "its temperature is not 0"),
        ({"temperature": None}, "its temperature is not 0"),
        ({"temperature": False}, "its temperature is not 0"),
        ({"web_search_options": {"x": 1}}, "it searches the web"),
        ({"messages": [USER, {"role": "assistant", "content": "The"}]}, "its last message"),
        ({"messages": [{"role": "tool", "content": "x"}, USER]}, "it holds results of tools"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "it holds more than text"),
        ({"messages": [{"role": "user", "content": None}]}, "it holds more than text"),
        ({"messages": [{"role": "user", "content": "x" * (LONGEST + 1)}]}, "it is too long"),
    ],
)
def test_what_is_not_for_a_cache_is_left_alone_and_says_why(body, reason):
    refused = ask(**body)
    assert isinstance(refused, str)
    assert refused.startswith(reason)


def test_an_answer_drawn_by_chance_is_given_again_only_where_that_was_asked_for():
    drawn = replace(ASKED, body=BODY | {"temperature": 1})
    assert isinstance(question_of(drawn, CacheMode.SEMANTIC), str)
    asked = replace(drawn, wish=read_wish(given=True))
    assert isinstance(question_of(asked, CacheMode.SEMANTIC), Question)


def test_the_operator_sets_the_most_and_a_caller_may_want_less():
    assert question_of(replace(ASKED, wish=read_wish("semantic")), CacheMode.OFF) == "off"
    assert (
        question_of(replace(ASKED, wish=read_wish(given=False)), CacheMode.SEMANTIC) == "declined"
    )
    exact = question_of(replace(ASKED, wish=read_wish("semantic")), CacheMode.EXACT)
    assert isinstance(exact, Question)
    assert exact.text is None
    assert made(replace(ASKED, wish=read_wish("exact"))).text is None
    assert made(ASKED).text == USER["content"]


def test_who_wants_a_new_answer_looks_nothing_up():
    assert not made(replace(ASKED, wish=read_wish("refresh"))).looks_up


@pytest.mark.parametrize("text", ["x" * (LONGEST_NEAR + 1), "half \ud800", "   "])
def test_what_an_encoder_cannot_read_in_whole_is_known_again_to_the_letter_alone(text):
    assert made(said(text)).text is None


@pytest.mark.parametrize("given_", ["maybe", 1, {"mode": "exact"}, [True], ""])
def test_a_wish_that_makes_no_sense_is_refused_with_what_does(given_):
    with pytest.raises(InvalidInput, match="off, exact, semantic, examples or refresh"):
        read_wish(given_)
