"""What is wrong with one row of a file, while the others are read on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from toolcrib_registry.types import JsonObject, canonical_json
from toolcrib_server.jsonrpc.text import holds_nul

_NUL_OR_SURROGATE: Final = re.compile(rb"\\u(?:0000|[dD])")
_SHALLOW: Final = 200
"""Lists and objects of which no nesting is too deep to be written."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was left out: where it stands (``line 12``, or its key) and the reason."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Malformed(Exception):
    """A row cannot be read; the message is the reason. Never leaves the catalogue."""


def parse_rows(lines: Iterable[str | bytes]) -> Iterator[tuple[int, JsonObject | Problem]]:
    """Parse JSON Lines, one object a line, with line numbers from 1. Blank lines are skipped."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except Malformed as malformed:
            yield number, Problem(f"line {number}", str(malformed))


def parse_object(line: str | bytes) -> JsonObject:
    """Parse one line.

    Raises:
        Malformed: It is not JSON, not an object, or holds what a database cannot store.
    """
    text = line.removeprefix("\ufeff") if isinstance(line, str) else line
    try:
        value: object = json.loads(text)
    except UnicodeDecodeError as error:
        raise Malformed("not text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON ({error})") from error
    return as_object(value, is_storable=_is_storable(text))


def as_object(value: object, *, is_storable: bool = False) -> JsonObject:
    """Narrow to a JSON object that can be stored; ``is_storable`` says that it was seen to be.

    Raises:
        Malformed: It is something else, or its text is not storable.
    """
    if not isinstance(value, dict):
        raise Malformed(f"a JSON object was expected, not {type(value).__name__}")
    found = cast("dict[str, Any]", value)
    if is_storable:
        return found
    try:
        encoded = canonical_json(found).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(f"cannot be stored ({error})") from error
    if holds_nul(encoded):
        raise Malformed("holds a NUL character")
    return found


def _is_storable(text: str | bytes) -> bool:
    """Whether a line of JSON shows by itself that what it holds can be stored.

    Where it does not, the row is written to see: that costs more than reading it.
    """
    line = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if line.count(b"{") + line.count(b"[") > _SHALLOW or _NUL_OR_SURROGATE.search(line):
        return False
    # The first begins a surrogate; the second is in every line of JSON that is not UTF-8.
    return b"\xed" not in line and b"\0" not in line
