"""Whether two texts of like meaning ask the same, by what can be read off them for certain.

Vectors do not see "not", "17 in the place of 18", or who does what to whom. So two texts ask the
same only where their numbers, names, quotations, code and negations are the same in the same order,
and, unless less is asked for, every other word that is not mere politeness. Errs towards "no".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .lexicon import (
    HOW_TO,
    IDLE,
    NEGATIONS,
    NO_PLURALS,
    NUMBERS,
    OPPOSITES,
    POLITE,
    SHORTENED,
    SYNONYMS,
)


class Strictness(StrEnum):
    """How much must be the same."""

    FACTS = "facts"
    """Numbers, names, quotations, code, negations, and which of two opposites."""
    WORDS = "words"
    """That, and every word but those of politeness; known synonyms count as one."""


_TYPEWRITTEN: Final = str.maketrans("\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb", '\'\'"""""')
_QUOTED: Final = re.compile(
    r"""```.*?```|`[^`]*`|"[^"]*"|(?<![\w'])'[^'\n]*'(?![\w'])""", re.DOTALL
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,:/-]\d+)*(?:st|nd|rd|th)?\b|\d|\S")
_CODE_MARK: Final = re.compile(
    r"[\w)]\(|::|->|=>|==|_|\w[./\\]\w|@|\\|[^\W\d_]\d|\d[^\W\d_]|[+#*&|^~=<>{}\[\]]"
)
_ORDINAL: Final = re.compile(r"\d+(?:st|nd|rd|th)")
_NUMBER: Final = re.compile(r"[-+]?\d[\d.,:/-]*(?:st|nd|rd|th)?")
_FRONTED: Final = re.compile(
    r"((?:in|on|at|for|with|using|during|within|as)\s[^,.?!\n]{1,80}),\s+([^\n]+?)([.?!]*)",
    re.IGNORECASE,
)
_MUTE: Final = frozenset(".,?!;:\"'`\u2026")
"""Marks that say nothing of what is asked; every other (+, %, €, <) is a word."""
_ENDS: Final = frozenset(".?!:\n")
_SHORTEST_PLURAL: Final = 5


def difference(one: str, other: str, strictness: Strictness = Strictness.WORDS) -> str | None:
    """Say in a few words how two texts ask something different; None: they surely ask the same."""
    a, b = _read(one), _read(other)
    names = a.names | b.names
    compared = (
        ("quotations differ", a.quoted, b.quoted),
        ("numbers differ", a.numbers, b.numbers),
        ("code differs", a.code, b.code),
        ("one negates", a.kept(NEGATIONS), b.kept(NEGATIONS)),
        ("names differ", a.kept(names), b.kept(names)),
        ("opposites differ", a.kept(OPPOSITES), b.kept(OPPOSITES)),
    )
    reason = next((why for why, first, second in compared if first != second), None)
    if reason is None and strictness is Strictness.WORDS and a.words != b.words:
        return "words differ"
    return reason


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as it is compared; everything in the order in which it stands there."""

    quoted: tuple[str, ...]
    code: tuple[str, ...]
    words: tuple[str, ...]
    names: frozenset[str]

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(word for word in self.words if word[:1].isnumeric())

    def kept(self, words: Collection[str]) -> tuple[str, ...]:
        return tuple(word for word in self.words if word in words)


def _read(text: str) -> _Reading:
    text = unicodedata.normalize("NFC", text).translate(_TYPEWRITTEN).strip()
    quoted = tuple(match[0].strip("`\"'") for match in _QUOTED.finditer(text))
    bare = _QUOTED.sub(" ", text)
    code = (piece.strip(".,;:!?()") for piece in bare.casefold().split())
    return _Reading(
        quoted=quoted,
        code=tuple(piece for piece in code if _is_code(piece)),
        words=tuple(_words(_plain(text))),
        names=frozenset(_names(text)),
    )


def _is_code(piece: str) -> bool:
    return bool(_CODE_MARK.search(piece)) and not _NUMBER.fullmatch(piece)


def _plain(text: str) -> str:
    """Drop politeness, write out what is shortened, and put a fronted phrase behind."""
    said = " ".join(text.casefold().split())
    said = " ".join(SHORTENED.get(word, word) for word in said.split(" "))
    bare = _without_politeness(said)
    fronted = _FRONTED.fullmatch(bare)
    if fronted:
        bare = f"{_without_politeness(fronted[2])} {fronted[1]}{fronted[3]}"
    opening = next((way for way in HOW_TO if bare.startswith(f"{way} ")), None)
    return bare if opening is None else f"how to{bare.removeprefix(opening)}"


def _without_politeness(text: str) -> str:
    """Take away what stands at either end and asks nothing."""
    before = None
    while before != text:
        before = text
        text = text.strip(" ,.:;!?")
        for phrase in POLITE:
            text = _without(text, phrase)
    return text


def _without(text: str, phrase: str) -> str:
    rest = text.removeprefix(phrase)
    if rest != text and not rest[:1].isalnum():
        text = rest
    rest = text.removesuffix(phrase)
    return rest if rest != text and not rest[-1:].isalnum() else text


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        if word in IDLE or word in _MUTE:
            continue
        number = NUMBERS.get(word, word)
        if number[0].isdigit():
            yield number if _ORDINAL.fullmatch(number) is None else f"{number[:-2]}th"
        else:
            single = _singular(word.removesuffix("'s"))
            yield SYNONYMS.get(single, single)


def _singular(word: str) -> str:
    """Drop the plural's ending, where it surely is one."""
    if len(word) < _SHORTEST_PLURAL or word in NO_PLURALS or not word.endswith("s"):
        return word
    return word if word[-2] in "sui" else word[:-1]


def _names(text: str) -> Iterator[str]:
    """Name the words with a capital that no sentence begins with."""
    ended = True
    for match in _WORD.finditer(text):
        word = match[0]
        is_capital = word[0].isupper() and (not ended or word[1:] != word[1:].lower())
        if is_capital and word not in {"I", "I'm", "I'd", "I've", "I'll"}:
            yield from _words(word.casefold())
        ended = word in _ENDS or (ended and not word[0].isalnum())
