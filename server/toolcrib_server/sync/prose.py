"""Which words of a text changed, and text that shows what it hides. Pure, and bounded.

A description is other people's text: what it says is shown, what it does to a terminal or to the
order of letters is not.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_MAX_COMPARED: Final = 600
"""Words, or sentences, on either side; comparing takes their product in the worst case."""
_CONTEXT: Final = 5
"""Words shown on either side of a change."""
_MAX_SHOWN: Final = 60
"""Words shown of one piece that came or went."""
_MAX_PIECES: Final = 40
_LONGEST_WORD: Final = 200

_WORDS: Final = re.compile(r"\S+\s*|\s+")
_SENTENCES: Final = re.compile(r"(?:[^.!?\n]|[.!?](?!\s))*(?:[.!?]+\s+|\n\s*|$)")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Fate(StrEnum):
    """What became of a piece of text."""

    KEPT = "kept"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words in a row with one fate. ``text`` is visible and cut; see `visible`."""

    fate: Fate
    text: str


def compare_words(before: str, after: str) -> tuple[Piece, ...]:
    """Tell which words went and came, with a few kept ones around each change.

    Of texts too long to compare word by word, sentences are compared. What is beyond the limits
    is counted and not shown, so that a text of 1 MB costs no more than one of a few pages.
    """
    # With a space in the end the last word is as any other.
    old, new = _WORDS.findall(f"{before} "), _WORDS.findall(f"{after} ")
    head, tail = _shared_ends(old, new)
    old_middle, new_middle = old[head : len(old) - tail], new[head : len(new) - tail]
    changed = list(_compare(old_middle, new_middle))
    pieces = [
        *_kept(old[:head], first=True, last=not changed),
        *_squeezed(changed),
        *_kept(old[len(old) - tail :], first=not changed, last=True),
    ]
    if len(pieces) <= _MAX_PIECES:
        return tuple(pieces)
    left = sum(piece.fate is not Fate.KEPT for piece in pieces[_MAX_PIECES:])
    return (*pieces[:_MAX_PIECES], Piece(Fate.KEPT, f"… and {left} more changes of words"))


def visible(text: str) -> str:
    r"""Escape what cannot be seen: control, bidirectional, invisible and half characters.

    Each becomes its code point, as ``\u{202e}``; line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def cut(text: str, limit: int) -> str:
    """Make a text visible, at most ``limit`` characters of it."""
    return visible(text) if len(text) <= limit else f"{visible(text[: limit - 1])}…"


def _shown(char: str) -> str:
    if char in "\n\t" or (char.isprintable() and unicodedata.category(char) not in _HIDDEN):
        return char
    return f"\\u{{{ord(char):x}}}"


def _shared_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    """Count the words that both begin with, and those that both end with."""
    shortest = min(len(old), len(new))
    head = next((n for n in range(shortest) if old[n] != new[n]), shortest)
    room = shortest - head
    tail = next((n for n in range(room) if old[-1 - n] != new[-1 - n]), room)
    return head, tail


def _compare(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[Fate, Sequence[str]]]:
    if max(len(old), len(new)) > _MAX_COMPARED:
        old, new = _sentences(old), _sentences(new)
    if max(len(old), len(new)) > _MAX_COMPARED:
        yield from _replaced(old, new)
        return
    matcher = difflib.SequenceMatcher(None, old, new)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            yield Fate.KEPT, _split(old[i:j])
        else:
            yield from _replaced(old[i:j], new[k:m])


def _sentences(words: Sequence[str]) -> list[str]:
    return [sentence for sentence in _SENTENCES.findall("".join(words)) if sentence]


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[Fate, Sequence[str]]]:
    if old:
        yield Fate.REMOVED, _split(old)
    if new:
        yield Fate.ADDED, _split(new)


def _split(parts: Sequence[str]) -> list[str]:
    return _WORDS.findall("".join(parts))


def _squeezed(changed: Sequence[tuple[Fate, Sequence[str]]]) -> Iterator[Piece]:
    for fate, words in changed:
        if fate is Fate.KEPT:
            yield from _kept(words)
        else:
            yield Piece(fate, _joined(words, _MAX_SHOWN))


def _kept(words: Sequence[str], *, first: bool = False, last: bool = False) -> Iterator[Piece]:
    """Show only what is near a change; ``first`` and ``last``: there is none on that side."""
    before = 0 if first else _CONTEXT
    after = 0 if last else _CONTEXT
    if not words or (first and last):
        return
    if len(words) <= before + after + 1:
        yield Piece(Fate.KEPT, _joined(words, len(words)))
        return
    opening = _joined(words[:before], before)
    closing = _joined(words[len(words) - after :], after) if after else ""
    yield Piece(Fate.KEPT, f"{opening}… {closing}")


def _joined(words: Sequence[str], limit: int) -> str:
    shown = "".join(cut(word, _LONGEST_WORD) for word in words[:limit])
    more = len(words) - limit
    return f"{shown}… ({more:,} more words) " if more > 0 else shown
