"""What an answer of the chat API says: read here, and nowhere else.

Takes whatever a provider sent: what has no choice, or a choice of another shape, says nothing.
"""

from __future__ import annotations

from toolcrib_registry.types import JsonObject

from .request import objects


def first_choice(answer: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return the first choice and its message; an empty object for what is not there."""
    nothing: JsonObject = {}
    choice = (objects(answer.get("choices")) or [nothing])[0]
    return choice, (objects([choice.get("message")]) or [nothing])[0]


def text_of(answer: JsonObject) -> str:
    """Read the text of the first choice; the empty text where it has none."""
    said = first_choice(answer)[1].get("content")
    return said if isinstance(said, str) else ""


def all_text_of(answer: JsonObject) -> str:
    """Read the texts of all choices, one after the other, to estimate their length."""
    choices = objects(answer.get("choices"))
    return "".join(text_of({"choices": [choice]}) for choice in choices)
