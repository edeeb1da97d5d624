"""What a scan found: by which rule, how bad, where, and enough of the text to judge it by."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from toolcrib_registry.types import MarkReason

_EXCERPT_CHARS: Final = 120
_LAYOUT: Final = re.compile(r"[ \t\n\r]+")


class Severity(StrEnum):
    """How bad it is."""

    LOW = "low"
    """Odd, and mostly honest: reported, marks nothing."""
    MEDIUM = "medium"
    """Steers the reader beyond the tool itself: marks."""
    HIGH = "high"
    """No honest text has it, as far as is known: marks, and quarantines where that is asked for."""

    @property
    def rank(self) -> int:
        """Its place: the higher, the worse."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found. ``excerpt`` is safe to print: what cannot be seen is escaped in it."""

    rule: str
    title: str
    severity: Severity
    reason: MarkReason
    where: str
    """A JSON pointer into the definition."""
    excerpt: str

    def __str__(self) -> str:
        return f"{self.title} ({self.rule}, at {self.where}): {self.excerpt}"


def excerpt_of(text: str, start: int, end: int) -> str:
    """Cut the found part out of its text with a little around it, printable and on one line."""
    margin = max((_EXCERPT_CHARS - (end - start)) // 2, 8)
    first, last = max(start - margin, 0), min(max(end, start + 1) + margin, len(text))
    cut = escape(_LAYOUT.sub(" ", text[first:last][: 2 * _EXCERPT_CHARS]).strip())
    if len(cut) > 2 * _EXCERPT_CHARS:
        cut = cut[: 2 * _EXCERPT_CHARS]
    return f"{'…' if first else ''}{cut}{'…' if last < len(text) else ''}"


def escape(text: str) -> str:
    """Write what cannot be seen, or drives a terminal, as its code point."""
    return text if text.isascii() and text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable() and not is_blank(char):
        return char
    return " " if char == " " else f"<U+{ord(char):04X}>"


def is_blank(char: str) -> bool:
    """Whether a character that counts as printable shows nothing all the same."""
    if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    if char == " ":
        return False
    return ord(char) in _BLANK_LETTERS or unicodedata.category(char) in {"Zs", "Cf"}


_BLANK_LETTERS: Final = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0})
