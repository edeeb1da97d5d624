"""Questions made of what an entry says of itself, by pattern: no model, the same each time.

They turn a description around to how somebody would ask who wants what it describes. Off unless
they are given a weight: they say nothing that the description does not (docs/adr/0028).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MOST_CHARS: Final = 160
_MOST_PARAMETERS: Final = 3
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s|\n|;")
_OPENING: Final = re.compile(
    r"^(?:(?:this|the|a|an)\s+)?(?:(?:tool|api|endpoint|function|method|plugin)\s+)"
    r"(?:(?:that|which|to|for|is used to|allows you to|can)\s+)?"
    r"|^(?:use this|used|allows you) to\s+",
    re.IGNORECASE,
)
_ENDINGS: Final = (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"))


def template_questions(name: str, description: str, parameters: Sequence[str]) -> tuple[str, ...]:
    """Ask for what an entry does in up to three ways; none where it says nothing of itself.

    ``name`` and ``parameters`` are in words.
    """
    task = _task(description)
    given = [word for word in parameters if word][:_MOST_PARAMETERS]
    asked = (
        f"How do I {name.lower()}?" if name else "",
        f"I need to {task}." if task else "",
        f"Can you {task}? I have the {_listed(given)}." if task and given else "",
    )
    return tuple(question for question in asked if question)


def _task(description: str) -> str:
    """Turn the first sentence of a description into what somebody wants done."""
    first = _SENTENCE_END.split(description.strip(), maxsplit=1)[0]
    said = _OPENING.sub("", first[:_MOST_CHARS]).strip(" .:,")
    verb, space, rest = said.partition(" ")
    return f"{_base_form(verb.lower())}{space}{rest}"


def _base_form(verb: str) -> str:
    for ending, base in _ENDINGS:
        if verb.endswith(ending):
            return verb.removesuffix(ending) + base
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
