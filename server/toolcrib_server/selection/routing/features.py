"""What a query looks like, beside what it means: length, code, formulae, choices, question words.

An encoder tells topics apart and is nearly blind to form, yet form often decides which model does
well: two exams of one subject differ in it, and so do a web search and a quiz.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from .arrays import Floats

_READ_CHARS: Final = 4_000
"""Of a long text, what is looked at; its length counts in full."""
_WORD: Final = re.compile(r"\w+")
_QUESTION_WORDS: Final = (
    *("what", "which", "who", "when", "where", "why", "how"),
    *("calculate", "find", "prove", "write"),
)
_SMALL_WORDS: Final = frozenset(
    (
        *("the", "a", "an", "of", "to", "in", "is", "are", "was", "and", "or", "for", "on"),
        *("with", "by", "at", "from", "as", "it", "that", "this", "which", "be"),
    )
)
_PATTERNS: Final = (
    re.compile(r"\b(def|class|return|import|function|assert)\b|```|=="),
    re.compile(r"(?m)^\s*\(?[A-E][.):]\s"),
    re.compile(r"(?i)\b(not|except|never|least)\b"),
    re.compile(r"___"),
    re.compile(r"(?i)\bstatement (1|i)\b"),
    *(re.compile(rf"(?i)\b{word}\b") for word in _QUESTION_WORDS),
)
_SHORT_WORD: Final = 3
_LONG_WORD: Final = 8
_ASCII_END: Final = 127


def read_features(texts: Sequence[str]) -> Floats:
    """Describe the form of each text: a row a text, unscaled; see `forms.FormScale`."""
    return np.array([_features(text) for text in texts], dtype=np.float64)


def count_words(text: str) -> int:
    """Count the words of a text: what cost and latency grow with."""
    return len(_WORD.findall(text))


def _features(text: str) -> list[float]:
    seen = text[:_READ_CHARS]
    words = _WORD.findall(seen)
    return [
        *_sizes(text, seen, words),
        *_characters(seen),
        *_edges(seen.strip()),
        *_words(words),
        *(float(bool(pattern.search(seen))) for pattern in _PATTERNS),
    ]


def _sizes(text: str, seen: str, words: Sequence[str]) -> list[float]:
    lines = seen.split("\n")
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(len(lines)),
        math.log1p(max(len(line) for line in lines)),
        sum(map(len, words)) / max(len(words), 1),
    ]


def _characters(seen: str) -> list[float]:
    count = max(len(seen), 1)
    sets = ("+-*/=^<>\\$%", "{}[]();_`#", ",", "\n", '"', "$", "\\", ".")
    return [
        sum(c.isdigit() for c in seen) / count,
        sum(c.isupper() for c in seen) / count,
        sum(ord(c) > _ASCII_END for c in seen) / count,
        *(sum(map(seen.count, chosen)) / count for chosen in sets),
    ]


def _edges(seen: str) -> list[float]:
    return [
        float(seen[:1].islower()),
        float(seen[:1].isupper()),
        *(float(seen.endswith(mark)) for mark in "?.:"),
        float("?" in seen),
        float(seen.count("?") > 1),
    ]


def _words(words: Sequence[str]) -> list[float]:
    count = max(len(words), 1)
    return [
        sum(word[:1].isupper() for word in words) / count,
        sum(word.isdigit() for word in words) / count,
        sum(word.casefold() in _SMALL_WORDS for word in words) / count,
        sum(len(word) <= _SHORT_WORD for word in words) / count,
        sum(len(word) >= _LONG_WORD for word in words) / count,
        len({word.casefold() for word in words}) / count,
    ]
