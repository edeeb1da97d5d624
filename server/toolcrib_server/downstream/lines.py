"""A stream of bytes cut into lines, each a message, in linear time and bounded memory.

A line that is too long is passed over, not fatal: of it is kept what may tell whom to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .messages import Id

_SHOWN_BYTES: Final = 512
_ID: Final = rb'"id"\s*:\s*(?:(?P<number>-?\d{1,19})|"(?P<text>[^"\\\x00-\x1f]{1,128})")'
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_METHOD: Final = rb'"method"\s*:\s*"[^"\\]{0,128}"\s*'
_OPENS: Final = re.compile(
    rb"\s*\{\s*(?:(?:" + _VERSION + rb"|" + _METHOD + rb"),\s*){0,2}" + _ID + rb"\s*[,}]"
)
_ENDS: Final = re.compile(
    rb"\},\s*(?:(?:" + _VERSION + rb"|" + _METHOD + rb"),\s*){0,2}" + _ID + rb"\s*"
    rb"(?:,\s*(?:" + _VERSION + rb"|" + _METHOD + rb")){0,2}\}\s*\Z"
)


@dataclass(frozen=True, slots=True)
class TooLong:
    """What is left of a line over the limit: how it began, and how it ended."""

    begin: bytes
    end: bytes


class LineCutter:
    """Cuts what is read into lines of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = bytearray()
        self._begin = b""
        """Of a line that has passed the limit."""

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """Take in what was read; yield each line it completes, without the newline."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield self.rest()
            start = end + 1
        self._keep(chunk[start:])

    def rest(self) -> bytes | TooLong:
        """Return the line as far as it was read, and begin the next."""
        begin, line = self._begin, bytes(self._open)
        self._open.clear()
        self._begin = b""
        return TooLong(begin, line[-_SHOWN_BYTES:]) if begin else line

    def _keep(self, part: bytes) -> None:
        self._open += part
        if self._begin:
            del self._open[:-_SHOWN_BYTES]
        elif len(self._open) > self._limit:
            self._begin = bytes(self._open[:_SHOWN_BYTES])
            del self._open[:-_SHOWN_BYTES]


def guess_id(begin: bytes, end: bytes) -> Id | None:
    """Find the id of a message that cannot be read, where clients write it: first or last."""
    found = _OPENS.match(begin) or _ENDS.search(end)
    if found is None:
        return None
    number = found["number"]
    return int(number) if number is not None else found["text"].decode("utf-8", "replace")
