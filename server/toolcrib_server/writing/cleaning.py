"""What a model wrote, as what may be kept of it. It is a stranger's text, whoever asked for it.

Pure: text in, text out, or the reason why not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from toolcrib_registry.types import MarkReason
from toolcrib_server.scan import Severity, scan_text

from .prompts import LONGEST_QUESTION, LONGEST_STEP, MOST_STEPS, WANTED

LONGEST_ANSWER: Final = 20_000
"""Characters of an answer that are read at all."""
_FEWEST_CHARS: Final = 8
_FEWEST_WORDS: Final = 3
_MOST_WORDS: Final = 40
_MOST_REPEATED: Final = 4
"""Times that one word may stand in a question."""
_SPACES: Final = re.compile(r"\s+")
_ADDRESS: Final = re.compile(
    r"https?:|www\.|://|\b[\w.+-]+@[\w-]+\.\w|\b\d{1,3}(?:\.\d{1,3}){3}\b", re.IGNORECASE
)
_MARKUP: Final = re.compile(r"[<>{}`|\[\]\\]|##|\*\*|\$\(")
_ORDER: Final = re.compile(
    r"\b(?:use|call|choose|pick|select|prefer|trust|recommend)\s+(?:me|this|it)\b"
    r"|\b(?:tools?|functions?|plugins?)\s+(?:always|first|only|must|instead)\b"
    r"|\balways\s+(?:use|call|choose|pick|select|prefer)\b"
    r"|\b(?:ignore|disregard|forget)\b.{0,20}\b(?:instructions?|prompts?|above|previous|rules)\b"
    r"|\b(?:as an ai|language model|assistant)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W_]+")
_FENCE: Final = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
_LONGEST_NAME: Final = 3
"""Words."""
_LEAST_SHARED: Final = 4
"""Letters that a word of a question must have in common with one of its entry."""
_GROUNDED: Final = 0.6
"""Of a step's telling words, that must stand in the query: the verb may be another."""
_MOST_LONGER: Final = 6
"""Times as long as the query: a Chinese sentence has a fifth of the letters of its English."""
_MORE: Final = 40
_UNTELLING: Final = frozenset(
    {"with", "this", "that", "from", "what", "which", "have", "want", "need", "please", "your"}
    | {"tool", "tools", "there", "about", "into", "when", "where", "some", "them", "they", "will"}
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What may be kept of an answer, or why nothing of it."""

    texts: tuple[str, ...]
    refusal: str | None = None


def read_object(answer: str) -> Mapping[str, Any] | None:
    """Read an answer's JSON object; None where it is none."""
    try:
        given = json.loads(_FENCE.sub("", answer[:LONGEST_ANSWER]))
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", given) if isinstance(given, dict) else None


def keep_questions(answer: str, *, entry: str, others: Collection[str]) -> Kept:
    """Keep the questions that could be somebody's, about this entry, and steer nobody.

    ``entry`` is the entry's own text: a question shares a word with it. ``others`` are the names
    of servers, folded: a question that has one as a name, which the entry has not, is not kept.
    """
    given = read_object(answer)
    if given is None:
        return Kept((), "the answer is no JSON object")
    said = _strings(given.get("questions"), most=2 * WANTED)
    if not said:
        return Kept((), "the answer has no questions")
    own = _roots(entry)
    kept: dict[str, str] = {}
    faults: list[str] = []
    for text in said:
        fault = _fault(text, longest=LONGEST_QUESTION) or _stray(text, own, entry, others)
        if fault:
            faults.append(fault)
        else:
            kept.setdefault(fold(text), text)
    texts = tuple(kept.values())[:WANTED]
    return Kept(texts, None if texts else f"no question could be kept: {faults[0]}")


def keep_steps(given: Mapping[str, Any], *, source: str) -> tuple[str, ...]:
    """Keep the steps that are grounded in the text; an invented one spoils them all.

    Each step's telling words stand in the source, most of them, in some form.
    """
    said = _strings(given.get("steps"), most=MOST_STEPS)
    roots = _roots(source)
    steps = tuple(dict.fromkeys(said))
    spoilt = any(_fault(s, longest=LONGEST_STEP) or not _is_grounded(s, roots) for s in steps)
    return () if spoilt else steps


def keep_english(given: Mapping[str, Any], *, query: str) -> str | None:
    """Keep a query's English where it can be a translation: of like length, with its numbers."""
    english = given.get("english")
    if not isinstance(english, str):
        return None
    text = clean(english)
    fits = _FEWEST_CHARS / 2 <= len(text) <= _MOST_LONGER * len(query) + _MORE
    numbers = set(re.findall(r"[0-9]{2,}", query)) <= set(re.findall(r"[0-9]{2,}", text))
    names = {word.lower() for word in re.findall(r"[A-Za-z]*[_0-9][A-Za-z0-9_]*|[A-Z]{2,}", query)}
    return text if fits and numbers and all(name in text.lower() for name in names) else None


def clean(text: str) -> str:
    """Make one line of visible text."""
    visible = "".join(char if char.isprintable() else " " for char in text)
    return _SPACES.sub(" ", visible).strip()


def fold(text: str) -> str:
    """Reduce a text to its words, for comparison."""
    return " ".join(_WORD.findall(text.lower()))


def _strings(value: object, *, most: int) -> list[str]:
    listed = cast("list[object]", value)[:most] if isinstance(value, list) else []
    texts = (clean(one[:LONGEST_ANSWER]) for one in listed if isinstance(one, str))
    return [text for text in texts if text]


def _fault(text: str, *, longest: int) -> str | None:
    """Say what is wrong with a text whoever it is from."""
    words = fold(text).split()
    if not _FEWEST_CHARS <= len(text) <= longest or len(words) > _MOST_WORDS:
        return f"one has {len(text)} characters"
    if _ADDRESS.search(text):
        return "one has an address in it"
    if _MARKUP.search(text):
        return "one has markup in it"
    if any(words.count(word) > _MOST_REPEATED for word in words):
        return "one says the same again and again"
    if _ORDER.search(text) or _is_steering(text):
        return "one gives orders to its reader"
    return None


def _is_steering(text: str) -> bool:
    found = scan_text(text, where="/question")
    orders = {MarkReason.INJECTION, MarkReason.HIDDEN_TEXT}
    return any(one.reason in orders and one.severity is not Severity.LOW for one in found)


def _stray(text: str, own: frozenset[str], entry: str, others: Collection[str]) -> str | None:
    """Say how a question is not one about its entry."""
    if len(fold(text).split()) < _FEWEST_WORDS:
        return "one is hardly a word"
    if "_" in text:
        return "one has an identifier in it"
    if any(f" {name} " not in f" {fold(entry)} " for name in _names(text) if name in others):
        return "one names another server"
    if own and not _roots(text) & own:
        return "one has nothing to do with the entry"
    return None


def _names(text: str) -> Iterator[str]:
    """Give what is written as a name: up to three words together, one with a capital inside."""
    words: list[str] = _WORD.findall(text)
    for size in range(1, _LONGEST_NAME + 1):
        for start in range(len(words) - size + 1):
            some = words[start : start + size]
            inner = "".join(some)[1:] if start == 0 else "".join(some)
            if inner != inner.lower():
                yield " ".join(some).lower()


def _is_grounded(step: str, source: frozenset[str]) -> bool:
    roots = _roots(step)
    return bool(roots) and len(roots & source) >= _GROUNDED * len(roots)


def _roots(text: str) -> frozenset[str]:
    """Reduce a text to the beginnings of its telling words: forms of one word have one."""
    return frozenset(_root(word) for word in _telling(text))


def _root(word: str) -> str:
    for ending in ("ies", "ing", "es", "ed", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_SHARED - 1:
            return word[: -len(ending)]
    return word


def _telling(text: str) -> Iterator[str]:
    words: Sequence[str] = _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    for word in words:
        if (len(word) >= _LEAST_SHARED or not word.isascii()) and word not in _UNTELLING:
            yield word
