"""Characters that a person does not see and a model reads, and those that drive a terminal.

Many have honest uses: joiners hold emoji and Persian words together, direction marks stand in
Hebrew, a selector makes a symbol an emoji. Each rule says where it takes them for honest.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from toolcrib_registry.types import MarkReason

from .finding import Finding, Severity, excerpt_of
from .texts import Text

_ZERO_WIDTH: Final = (
    "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u00ad\u034f"
    "\u115f\u1160\u17b4\u17b5\u3164\uffa0"
)
_BIDI: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_REMOVED: Final = re.compile(
    f"[{_ZERO_WIDTH}{_BIDI}\u200e\u200f\ufe00-\ufe0f\U000e0000-\U000e01ef\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_SPACES_IN_A_ROW: Final = 80
_LINES_IN_A_ROW: Final = 12
_FLAG_CHARS: Final = 7


def reveal(text: str) -> str:
    """Take out what cannot be seen, so that words which it splits are whole again."""
    return _REMOVED.sub("", text)


def reveal_all(said: Any) -> Any:
    """Take out what cannot be seen of every text in a JSON value, keys included."""
    if isinstance(said, str):
        return reveal(said)
    if isinstance(said, Mapping):
        members = cast("Mapping[str, Any]", said).items()
        return {reveal(key): reveal_all(value) for key, value in members}
    if isinstance(said, list):
        return [reveal_all(item) for item in cast("list[Any]", said)]
    return said


@dataclass(frozen=True, slots=True)
class Trick:
    """One way to hide: which characters to look for, and when they are honest."""

    id: str
    title: str
    severity: Severity
    found_by: str
    sources: tuple[str, ...]
    is_honest: Callable[[str, re.Match[str]], bool] | None = None


def _is_flag(text: str, found: re.Match[str]) -> bool:
    # England, Scotland and Wales have flags that are spelt in tag characters (UTS 51).
    starts_black_flag = text[max(found.start() - 1, 0) : found.start()] == "\U0001f3f4"
    return (
        starts_black_flag
        and found.group().endswith("\U000e007f")
        and len(found.group()) <= _FLAG_CHARS
    )


def _joins_letters(text: str, found: re.Match[str]) -> bool:
    """Whether it stands in a script or an emoji that needs it."""
    before = text[found.start() - 1 : found.start()]
    after = text[found.end() : found.end() + 1]
    if len(found.group()) > 1 or not before:
        return False
    return not (_is_plain_letter(before) and _is_plain_letter(after))


def _is_plain_letter(char: str) -> bool:
    return bool(char) and char.isalnum() and char < "\u0250"


def _is_right_to_left(text: str, _: re.Match[str]) -> bool:
    return any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in text)


def _is_layout(_: str, found: re.Match[str]) -> bool:
    lines = found.group().split("\n")
    return len(lines) <= _LINES_IN_A_ROW and max(map(len, lines)) < _SPACES_IN_A_ROW


TRICKS: Final = (
    Trick(
        "tag-characters",
        "Text in invisible tag characters",
        Severity.HIGH,
        "[\U000e0000-\U000e007f]+",
        ("Rehberger, ASCII Smuggler, 2024", "Unicode TR 36"),
        _is_flag,
    ),
    Trick(
        "selector-runs",
        "Data in runs of variation selectors",
        Severity.HIGH,
        "[\ufe00-\ufe0f]{2,}|[\U000e0100-\U000e01ef]{2,}|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}",
        ("Butler, Smuggling arbitrary data through an emoji, 2025",),
    ),
    Trick(
        "zero-width-runs",
        "Data in runs of zero-width characters",
        Severity.HIGH,
        f"[{_ZERO_WIDTH}]{{3,}}",
        ("OWASP MCP Top 10, MCP03",),
    ),
    Trick(
        "zero-width-in-words",
        "Words split by characters without width",
        Severity.HIGH,
        f"(?<=[A-Za-z0-9_])[{_ZERO_WIDTH}](?=[A-Za-z0-9_])",
        ("Boucher et al., Bad Characters, arXiv 2106.09898",),
    ),
    Trick(
        "zero-width",
        "A character without width",
        Severity.LOW,
        f"[{_ZERO_WIDTH}]{{1,2}}",
        ("Boucher et al., Bad Characters, arXiv 2106.09898",),
        _joins_letters,
    ),
    Trick(
        "direction-controls",
        "Controls that show text in another order than it is read",
        Severity.HIGH,
        f"[{_BIDI}]",
        ("CVE-2021-42574 (Trojan Source)",),
        _is_right_to_left,
    ),
    Trick(
        "terminal-controls",
        "Control characters that drive a terminal",
        Severity.HIGH,
        "[\x1b\x9b\x90\x9d\x08\x7f\x0e\x0f]",
        ("Trail of Bits, Deceiving users with ANSI terminal codes in MCP, 2025",),
    ),
    Trick(
        "overwritten-line",
        "A carriage return that overwrites the line in a terminal",
        Severity.MEDIUM,
        "[^\r\n]\r(?![\r\n]|$)",
        ("Trail of Bits, Deceiving users with ANSI terminal codes in MCP, 2025",),
    ),
    Trick(
        "control-characters",
        "Control characters in text",
        Severity.MEDIUM,
        "[\x00-\x07\x0b\x0c\x10-\x1a\x1c-\x1f\x80-\x84\x86-\x8f\x91-\x9a\x9c\x9e\x9f]",
        ("Unicode TR 36",),
    ),
    Trick(
        "pushed-out-of-view",
        "Text after so much empty space that a reader does not see it",
        Severity.MEDIUM,
        # Only where a run begins: else each of its characters would begin another one.
        r"(?<=\S)\s{12,}+(?=\S)",
        ("Cursor forum reports of scrolled-away arguments, 2025", "OWASP MCP Top 10, MCP03"),
        _is_layout,
    ),
)

# Outside of ASCII, or a control within it: everything else is passed by in one step.
_SUSPECT: Final = re.compile(r"[^\t\n\x20-\x7e]|\s{12}")
_WIDE_GAP: Final = " " * 12
_COMPILED: Final = tuple((trick, re.compile(trick.found_by)) for trick in TRICKS)


def find_hidden(text: Text) -> Iterator[Finding]:
    """Find hidden text; each trick is reported once for a piece of text."""
    if _is_plain(text.value) or not _SUSPECT.search(text.value):
        return
    for trick, pattern in _COMPILED:
        for found in pattern.finditer(text.value):
            if trick.is_honest is not None and trick.is_honest(text.value, found):
                continue
            yield Finding(
                rule=trick.id,
                title=trick.title,
                severity=trick.severity,
                reason=MarkReason.HIDDEN_TEXT,
                where=text.where,
                excerpt=excerpt_of(text.value, *found.span()),
            )
            break


def _is_plain(value: str) -> bool:
    """Whether a text is of what a typewriter writes, on one line: a look at it that costs little."""
    return value.isascii() and value.isprintable() and _WIDE_GAP not in value
