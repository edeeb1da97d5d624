"""The scan itself: every text of a definition, against every rule, within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cache, lru_cache
from itertools import chain
from typing import Final

from toolcrib_registry.types import JsonObject, MarkReason

from . import languages, meddling, phrasing, steering, taking, writing
from .encoded import unwrap
from .finding import Finding, Severity, excerpt_of
from .hidden import find_hidden, reveal
from .lookalike import find_lookalikes, fold
from .rule import Rule
from .texts import MAX_SCANNED_CHARS, MAX_SCANNED_TEXTS, Part, Text, texts_of

_WORDED: Final[Mapping[str, tuple[Rule, ...]]] = {
    "orders": (*phrasing.RULES, *taking.RULES, *meddling.RULES),
    "steering": steering.RULES,
    "languages": languages.RULES,
}
_SENTENCE_CHARS: Final = 400
_OVERLAP_CHARS: Final = 100
_LEAST_CHARS: Final = 12
"""No order is shorter."""
_SHORT_CHARS: Final = 64
"""Names, kinds and choices; of 108,600 texts of 17,570 tools, 99,507, and 33,180 different ones."""
_REMEMBERED_TEXTS: Final = 8_192
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+|\n+|(?<=[。！？；])")
_WORD: Final = re.compile(r"[a-z0-9_]+")
_JOINT: Final = re.compile(r"[_\-./]+|(?<=[a-z0-9])(?=[A-Z])")
_SPELT_OUT: Final = re.compile(r"(?<![^\W_])[^\W_](?:[ .\-_*]{1,2}[^\W_](?![^\W_])){5,400}")
_SPACED_ORDER: Final = re.compile(
    r"ignore(?:all|any|the|previous|prior)|systemprompt|donottell|previousinstructions"
)


def every_rule() -> tuple[Rule, ...]:
    """Give every rule about wording and form."""
    return (*writing.RULES, *chain.from_iterable(_WORDED.values()))


def scan_definition(definition: JsonObject) -> tuple[Finding, ...]:
    """Scan what a server listed. The worst comes first; each rule is reported once.

    At most `MAX_SCANNED_CHARS` characters are read; that there are more is a finding.
    """
    found: dict[str, Finding] = {}
    for finding in _findings(definition):
        known = found.get(finding.rule)
        if known is None or finding.severity.rank > known.severity.rank:
            found[finding.rule] = finding
    return tuple(sorted(found.values(), key=lambda one: (-one.severity.rank, one.rule)))


def scan_text(value: str, *, where: str = "/instructions") -> tuple[Finding, ...]:
    """Scan one piece of prose, as a server's instructions."""
    return scan_definition({where.removeprefix("/"): value})


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Give the severity of the worst, or None when there are none."""
    return max((one.severity for one in findings), key=lambda one: one.rank, default=None)


def _findings(definition: JsonObject) -> Iterator[Finding]:
    room = MAX_SCANNED_CHARS
    for count, text in enumerate(texts_of(definition)):
        if len(text.value) > room or count >= MAX_SCANNED_TEXTS:
            yield _too_long(text)
            text = Text(text.where, text.part, text.value[:room])  # noqa: PLW2901  # its rest is not read
            room = 0
        room -= len(text.value)
        yield from _scan(text)
        if room <= 0:
            return


def _scan(text: Text) -> Iterator[Finding]:
    """Scan a text. Short ones recur over thousands of tools, and are looked at once."""
    if len(text.value) > _SHORT_CHARS or not _remembering()(text.part, text.value):
        yield from _scan_closely(text)


@cache
def _remembering() -> Callable[[Part, str], bool]:
    return lru_cache(maxsize=_REMEMBERED_TEXTS)(_is_plain)


def _is_plain(part: Part, value: str) -> bool:
    return next(_scan_closely(Text("", part, value)), None) is None


def _scan_closely(text: Text) -> Iterator[Finding]:
    yield from find_hidden(text)
    yield from find_lookalikes(text)
    if len(text.value) < _LEAST_CHARS:
        return
    yield from _by_form(text)
    yield from _by_wording(text, text.value)
    yield from _unwrapped(text)


def _by_form(text: Text) -> Iterator[Finding]:
    plain = reveal(text.value) if not text.value.isascii() else text.value
    if not writing.is_worth_a_look(plain):
        return
    for rule in writing.RULES:
        if span := rule.find(plain):
            yield _finding(rule, text, plain, span)


def _by_wording(text: Text, value: str) -> Iterator[Finding]:
    folded = fold(_readable(value, text.part))
    words = set(_WORD.findall(folded))
    rules = _concerning(words, "orders")
    # Words that are not of ASCII letters are not told apart here.
    rules += _concerning(words, "languages") if folded.isascii() else languages.RULES
    # Half an order is of no interest beside a whole one.
    signs = _concerning(words, "steering")
    sentences = list(_sentences(folded)) if rules or signs else []
    orders = list(_by_sentence(text, sentences, rules))
    yield from orders or _by_sentence(text, sentences, signs)
    yield from _spelt_out(text, folded)


def _concerning(words: Set[str], group: str) -> list[Rule]:
    """Pick, in their order, the rules of a group that one of the words may break."""
    by_word = _by_word(group)
    places = {place for word in by_word.keys() & words for place in by_word[word]}
    return [_WORDED[group][place] for place in sorted(places)]


@cache
def _by_word(group: str) -> dict[str, list[int]]:
    by_word: dict[str, list[int]] = {}
    for place, rule in enumerate(_WORDED[group]):
        for word in rule.words.split():
            by_word.setdefault(word, []).append(place)
    return by_word


def _by_sentence(text: Text, sentences: Sequence[str], rules: Sequence[Rule]) -> Iterator[Finding]:
    left = list(rules)
    for sentence in sentences:
        if not left:
            return
        for rule in tuple(left):
            if span := rule.find(sentence):
                left.remove(rule)
                yield _finding(rule, text, sentence, span)


def _spelt_out(text: Text, folded: str) -> Iterator[Finding]:
    """Find orders whose letters stand apart: ``i g n o r e``."""
    for found in _SPELT_OUT.finditer(folded):
        joined = re.sub(r"[\W_]", "", found.group())
        if _SPACED_ORDER.search(joined):
            yield Finding(
                rule="spelt-out",
                title="An order spelt out letter by letter",
                severity=Severity.HIGH,
                reason=MarkReason.HIDDEN_TEXT,
                where=text.where,
                excerpt=excerpt_of(folded, *found.span()),
            )
            return


def _unwrapped(text: Text) -> Iterator[Finding]:
    """Scan what is wrapped in an encoding as if it stood there in plain words."""
    for decoded, start, end in unwrap(text.value):
        inner = next(_wrapped_orders(text, decoded), None)
        yield Finding(
            rule="encoded-order" if inner else "encoded-text",
            title=f"Encoded: {inner.title[0].lower()}{inner.title[1:]}"
            if inner
            else "Encoded prose",
            severity=Severity.HIGH if inner else Severity.MEDIUM,
            reason=MarkReason.HIDDEN_TEXT,
            where=text.where,
            excerpt=f"{excerpt_of(text.value, start, end)} reads {excerpt_of(decoded, 0, 80)}",
        )


def _wrapped_orders(text: Text, decoded: str) -> Iterator[Finding]:
    yield from _by_form(Text(text.where, text.part, decoded))
    yield from _by_wording(text, decoded)


def _sentences(folded: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(folded):
        if len(sentence) < _LEAST_CHARS:
            continue
        if len(sentence) <= _SENTENCE_CHARS:
            yield sentence
            continue
        step = _SENTENCE_CHARS - _OVERLAP_CHARS
        yield from (sentence[i : i + _SENTENCE_CHARS] for i in range(0, len(sentence), step))


def _readable(value: str, part: Part) -> str:
    """Read a name as the words it is made of: orders are hidden there as well."""
    return _JOINT.sub(" ", value) if part in {Part.NAME, Part.PARAMETER} else value


def _finding(rule: Rule, text: Text, shown: str, span: tuple[int, int]) -> Finding:
    return Finding(
        rule=rule.id,
        title=rule.title,
        severity=rule.severity,
        reason=rule.reason,
        where=text.where,
        excerpt=excerpt_of(shown, *span),
    )


def _too_long(text: Text) -> Finding:
    return Finding(
        rule="too-long",
        title=f"More text than is read ({MAX_SCANNED_CHARS} characters)",
        severity=Severity.MEDIUM,
        reason=MarkReason.HIDDEN_TEXT,
        where=text.where,
        excerpt=excerpt_of(text.value, 0, 80),
    )
