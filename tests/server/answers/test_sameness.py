"""Two texts ask the same only where nothing that can be read off them says otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.answers.sameness import Strictness, difference

SAME = [
    ("What is the capital of France?", "what's the capital of france"),
    ("How do I sort a list in Python?", "In Python, how do I sort a list?"),
    ("How do I reset my password?", "Could you please tell me how to reset my password? Thanks!"),
    ("How many photos can I upload?", "how many pictures can i upload"),
    ("Name three rivers.", "Name 3 rivers"),
    ("Who was the 2nd man?", "who was the second man"),
    ("Don't sort it", "do not sort it."),
    ("Translate \u201cgood day\u201d", 'Translate "good day"'),
    ("Wo liegt Köln?", "wo liegt ko\u0308ln"),
]
DIFFERENT = [
    ("What is 17 times 23?", "What is 18 times 23?", "numbers differ"),
    ("Name three rivers", "Name four rivers", "numbers differ"),
    ("What is 2.5 plus 1?", "What is 25 plus 1?", "numbers differ"),
    ("events on 2026-01-02", "events on 2026-02-01", "numbers differ"),
    ("Who was the 2nd man there?", "Who was the third man there?", "numbers differ"),
    ("Is it safe?", "Is it not safe?", "one negates"),
    ("Sort it", "Don't sort it", "one negates"),
    ("flights from Paris to London", "flights from London to Paris", "names differ"),
    ("The weather in Paris", "The weather in Rome", "names differ"),
    ("Translate 'good day'", "Translate 'good night'", "quotations differ"),
    ("use foo_bar", "use foo_baz", "code differs"),
    ("Is it fast in C?", "Is it fast in C++?", "code differs"),
    ("Explain print(x)", "Explain print(y)", "code differs"),
    ("fix `a == b`", "fix `a != b`", "quotations differ"),
    ("who wrote it", "when was it written", "opposites differ"),
    ("the highest peak", "the lowest peak", "opposites differ"),
    ("what is my name", "what is your name", "words differ"),
    ("convert euros to dollars", "convert dollars to euros", "words differ"),
    ("capital of france", "capital of spain", "words differ"),
    ("who is the president", "who was the president", "words differ"),
    ("buy 5% more", "buy 5\u20ac more", "words differ"),
    ("東京の天気", "大阪の天気", "words differ"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_other_wordings_of_the_same_are_the_same(one, other):
    assert difference(one, other) is None
    assert difference(other, one) is None


@pytest.mark.parametrize(("one", "other", "why"), DIFFERENT)
def test_what_differs_in_one_thing_that_matters_is_told_apart(one, other, why):
    assert difference(one, other) == why
    assert difference(other, one) == why


def test_less_may_be_asked_for_and_then_plain_words_do_not_count():
    assert difference("capital of france", "capital of spain", Strictness.FACTS) is None
    assert difference("17 is odd", "18 is odd", Strictness.FACTS) == "numbers differ"


@given(st.text(max_size=80))
def test_every_text_asks_what_it_asks(text):
    assert difference(text, text) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_does_not_matter_which_came_first(one, other):
    assert difference(one, other) == difference(other, one)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_are_never_one(one, other):
    assert (difference(f"What is {one} squared?", f"What is {other} squared?") is None) == (
        one == other
    )


@pytest.mark.parametrize("text", ["'" * 1_000, '"' * 999, "`" * 1_000, "in " * 333, "a" * 1_000])
def test_texts_made_to_be_slow_are_read_at_once(text):
    assert difference(text, text + "b") is not None
