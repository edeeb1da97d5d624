"""Words of names: split where an identifier joins them, and brought to one form. Values alone."""

from __future__ import annotations

import re
from typing import Final

_WORD_EDGE: Final = re.compile(
    r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
)
# The same words, found in a fraction of the time that looking for an edge at every letter takes.
_WORD_OF_ASCII: Final = re.compile(r"[a-z]+|[A-Z](?:[a-z]+|[A-Z]*(?![a-z]))|[0-9]+")
_SHORTEST_PLURAL: Final = 4
_NO_PLURAL: Final = ("ss", "us", "is", "as")


def split_words(text: str) -> list[str]:
    """Split prose or an identifier into words: at camelCase, snake_case, digits, punctuation."""
    if text.isascii():
        return _WORD_OF_ASCII.findall(text)
    return [word for word in _WORD_EDGE.split(text) if word]


def singular(word: str) -> str:
    """Give one of what an English word in small letters names several of, as far as it shows."""
    if word == "ids":
        return "id"
    if len(word) < _SHORTEST_PLURAL or word.endswith(_NO_PLURAL) or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1]
