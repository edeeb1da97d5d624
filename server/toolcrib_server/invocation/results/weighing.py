"""How much a result is to read: the bytes of its text and structured content, about.

Images, sound and other binary content do not count: they cannot be read on page by page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_PUNCTUATION = 4
"""Quotes, a colon and a comma."""
_NUMBER = 6


def weigh_content(result: Mapping[str, Any]) -> int:
    """Weigh the text of its blocks."""
    content = result.get("content")
    if not isinstance(content, list):
        return 0
    return sum(len_utf8(text) for block in cast("list[object]", content) for text in texts(block))


def texts(block: object) -> tuple[str, ...]:
    """Return the text of a block, or of the resource that is embedded in it."""
    if not isinstance(block, Mapping):
        return ()
    known = cast("Mapping[str, Any]", block)
    inner = known.get("resource")
    if isinstance(inner, Mapping):
        known = cast("Mapping[str, Any]", inner)
    text = known.get("text")
    return (text,) if isinstance(text, str) else ()


def weigh_json(value: object) -> int:
    """Weigh a decoded JSON value, about as it would be written."""
    weight, rest = 0, [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            weight += len_utf8(each) + _PUNCTUATION
        elif isinstance(each, dict):
            known = cast("dict[str, object]", each)
            weight += sum(map(len, known)) + _PUNCTUATION * len(known)
            rest.extend(known.values())
        elif isinstance(each, list):
            rest.extend(cast("list[object]", each))
        else:
            weight += _NUMBER
    return weight


def len_utf8(text: str) -> int:
    """Count the bytes of a text, without making them where that is not needed."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
