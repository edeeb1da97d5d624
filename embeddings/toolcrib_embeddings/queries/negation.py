"""What a query says is not wanted: found by its cue words, and left out of what is searched for.

Vectors and words know no "not": "do not delete it" finds what deletes. Reads English alone, and
commands alone: "do not", not "I do not". Knows no index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .steps import Span, clean_query

_LEAST_WORDS: Final = 2
"""Left of a query; with fewer the rest says too little, and the query stays whole."""
_NOT: Final = r"(?:not|n['\u2019]?t)"
_ORDERS: Final = (
    rf"(?:i|we)\s+do\s*{_NOT}\s+want\s+(?:you\s+)?to"
    rf"|(?:you\s+)?(?:must|should)\s*{_NOT}"
    rf"|do\s*{_NOT}"
    r"|never"
    r"|(?:there\s+is\s+)?no\s+need\s+(?:to|for)"
    # "and not committed yet" says how things are
    r"|not(?!\s+(?:limited|only)\b|[^,.;:!?()\n]*\byet\b)"
)
_CUE: Final = re.compile(
    # an order, at the start of a clause, so that nobody in particular is its subject
    rf"(?:(?:^|[.;:!?,(\n]\s*|\b(?:but|and)\s+)(?:(?:but|and|or|please|also)\s+){{0,3}}(?:{_ORDERS})"
    # or what is done without, or in place of
    r"|,?\s+(?:but\s+)?(?:without\s+(?=\w+ing\b)|instead\s+of|rather\s+than|except(?:\s+for)?))\b",
    re.IGNORECASE,
)
_END: Final = re.compile(r"[,.;:!?()\n]|\s(?:but|just|only|instead|then)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")
_SPACE_BEFORE_STOP: Final = re.compile(r"[ ,;:]+([.!?])")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a query asks for, and what it says is not wanted."""

    text: str
    unwanted: tuple[str, ...] = ()


def read_query(query: str) -> Wish:
    """Read a query as it is searched for: plain, cut, without what it says is not wanted.

    The text is empty when nothing in the query can be read. Where too little would be left, all
    of it is searched for.
    """
    text = clean_query(query)
    spans = tuple(_unwanted(text))
    kept = _without(text, spans)
    if not spans or sum(1 for _ in _WORD.finditer(kept)) < _LEAST_WORDS:
        return Wish(text)
    return Wish(kept, tuple(text[start:end].strip(" ,.;:!?(\n") for start, end in spans))


def _unwanted(text: str) -> Iterator[Span]:
    at = 0
    while found := _CUE.search(text, at):
        end = _END.search(text, found.end())
        at = end.start() if end else len(text)
        yield found.start(), at


def _without(text: str, spans: tuple[Span, ...]) -> str:
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    parts = (text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    kept = " ".join(part.strip(" ,;:") for part in parts if _WORD.search(part))
    return _SPACE_BEFORE_STOP.sub(r"\1", kept).strip()
