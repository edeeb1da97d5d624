"""Which example questions are heard."""

from __future__ import annotations

import pytest

from toolcrib_embeddings import render_document
from toolcrib_embeddings.documents.corpus import Component
from toolcrib_embeddings.documents.credible import credible
from toolcrib_registry.types import QUESTIONS_KEY, ServerName, Tool

OWN = "convert_time. Converts a time between two time zones. clock"


@pytest.mark.parametrize(
    "question",
    [
        "What time is it there when it is noon here?",
        "Convert 3 pm to the zones of my friends",
        "converting times",
        "How do I use this?",
        "東京は何時ですか",
        "",
    ],
)
def test_a_question_about_the_tool_is_heard(question: str) -> None:
    assert list(credible([question], OWN)) == [question]


@pytest.mark.parametrize(
    "question",
    ["How can I send an email to a friend?", "Book a flight to Lisbon", "delete the old branch"],
)
def test_a_question_about_something_else_is_not(question: str) -> None:
    assert list(credible([question], OWN)) == []


def test_what_a_live_server_lists_is_judged_and_a_file_that_was_chosen_is_not() -> None:
    asked = ["What time is it in Tokyo?", "How can I send an email?"]
    tool = Tool(
        name="clock__convert_time",
        description="Converts a time between two time zones.",
        server=ServerName("clock"),
        local_name="convert_time",
        definition={"_meta": {QUESTIONS_KEY: asked}},
    )
    imported = Tool(
        name=tool.name,
        description=tool.description,
        server=tool.server,
        local_name=tool.local_name,
        definition=tool.definition,
        source_id="7",
    )
    listed, chosen = (render_document(each) for each in (tool, imported))
    assert "email" not in listed.components[Component.QUESTIONS] + listed.terms
    assert "Tokyo" in listed.components[Component.QUESTIONS]
    assert "email" in chosen.components[Component.QUESTIONS]
