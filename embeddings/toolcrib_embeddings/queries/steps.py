"""Queries into steps: a task that needs several tools is looked for step by step as well.

Cuts at ends of sentences, semicolons, lines, and where a conjunction starts a clause of some words.
Works on characters, so that a step is a span of the query and can be encoded in its context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from toolcrib_embeddings.documents.corpus import clean_text

Span: TypeAlias = tuple[int, int]
"""Start and end, in characters, of a part of a text."""

MAX_QUERY_CHARS: Final = 4_000
"""As much of a query as is read."""
MAX_STEPS: Final = 16
_MIN_WORDS: Final = 3
"""A shorter clause is no step: it belongs to the one before it."""
_WIDE_ENDS: Final = "\u3002\uff01\uff1f\uff1b"
"""The full stop and its like in Chinese and Japanese, where no space follows."""
_SENTENCE_END: Final = re.compile(rf"(?<=[.!?;])\s+|(?<=[{_WIDE_ENDS}])\s*|\s*\n\s*")
_CLAUSE_START: Final = re.compile(
    r",?\s+(?:and\s+then|and\s+also|as\s+well\s+as|additionally|then|also|and|plus)\s+"
    r"(?!not\b|never\b|without\b|don't\b)"  # what is not to be done is no step
    r"|,\s+(?=\w+ing\b)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Reading:
    """How somebody who understands a query reads it; it stands in the place of the rules."""

    english: str | None = None
    """The whole of it, where it was in another language."""
    steps: tuple[str, ...] = ()
    """In English, in order; one or none where it is no task of several."""


def clean_query(query: str) -> str:
    """Give the text of a query that is searched for and encoded: plain, and cut.

    Line by line: where a line ends, a step may end. Empty when nothing in it can be read.
    """
    lines = query[:MAX_QUERY_CHARS].splitlines()
    return "\n".join(line for text in lines if (line := clean_text(text, limit=MAX_QUERY_CHARS)))


def split_steps(text: str) -> tuple[Span, ...]:
    """Split a task into the spans of its steps, in order, at most 16; none when it is one step."""
    spans = [
        clause
        for sentence in _cut(text, (0, len(text)), _SENTENCE_END)
        for clause in _joined(text, _cut(text, sentence, _CLAUSE_START))
    ]
    steps = [span for span in spans if _words(text, span) >= _MIN_WORDS]
    return tuple(steps[:MAX_STEPS]) if len(steps) > 1 else ()


def _cut(text: str, span: Span, edge: re.Pattern[str]) -> Iterator[Span]:
    start, end = span
    for found in edge.finditer(text, start, end):
        if found.start() > start:
            yield start, found.start()
        start = found.end()
    if end > start:
        yield start, end


def _joined(text: str, clauses: Iterable[Span]) -> Iterator[Span]:
    """Put a clause that is too short to the one before it."""
    current: Span | None = None
    for clause in clauses:
        if current is None:
            current = clause
        elif _words(text, clause) < _MIN_WORDS:
            current = (current[0], clause[1])
        else:
            yield current
            current = clause
    if current is not None:
        yield current


def _words(text: str, span: Span) -> int:
    return sum(1 for _ in _WORD.finditer(text, *span))
