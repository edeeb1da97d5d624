"""Questions made by pattern are the same each time, and say nothing where nothing is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.documents.templates import template_questions


def test_a_description_is_turned_around_to_what_somebody_wants():
    assert template_questions(
        "convert Time", "This tool converts a time between zones. More.", ["source zone", "time"]
    ) == (
        "How do I convert time?",
        "I need to convert a time between zones.",
        "Can you convert a time between zones? I have the source zone and time.",
    )
    assert (
        template_questions("", "Matches patterns; and more", [])[0] == "I need to match patterns."
    )
    assert template_questions("x", "", ["a"]) == ("How do I x?",)
    assert template_questions("", "", []) == ()


@given(st.text(), st.text(), st.lists(st.text(), max_size=5))
def test_whatever_is_said_they_are_three_at_most_and_bounded(name, description, parameters):
    asked = template_questions(name, description, parameters)
    assert asked == template_questions(name, description, parameters)
    assert len(asked) <= 3
    assert all(len(one) < 250 + len(name) + sum(map(len, parameters)) for one in asked)
