r"""Text wrapped in base64, hexadecimal, percent or ``\u`` notation, or rotated by 13: unwrapped.

Only what unwraps to readable words is of interest; keys, hashes and images do not.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

_MAX_BLOBS: Final = 50
"""Of one text: what is hidden in the fifty-first is not worth the time that thousands would take."""
_MAX_BLOB_CHARS: Final = 8_192
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+/_-]{24}")
_BASE64: Final = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{24,8192}={0,2}")
_HEX: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){16,4096}(?![0-9A-Fa-f])")
_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}){8,2700}")
_ESCAPED: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4}[ \t]{0,2}){6,1300}")
_ROTATED: Final = re.compile(r"(?i)\brot-?13\b|\bcaesar\b")
_READABLE: Final = 0.9
_LEAST_WORDS: Final = 3


def unwrap(text: str) -> Iterator[tuple[str, int, int]]:
    """Give each readable text that is wrapped inside, and the span it takes."""
    given = 0
    for pattern, decode in _notations(text):
        for found in pattern.finditer(text):
            decoded = decode(found.group())
            if _is_prose(decoded):
                yield decoded, found.start(), found.end()
            given += 1
            if given >= _MAX_BLOBS:
                return
    if rotated := _ROTATED.search(text):
        yield codecs.decode(text[:_MAX_BLOB_CHARS], "rot13"), rotated.start(), rotated.end()


def _notations(text: str) -> Iterator[tuple[re.Pattern[str], Callable[[str], str]]]:
    """Give the notations that something in a text may be written in: mostly there is none."""
    if _LONG_WORD.search(text):
        yield _BASE64, _from_base64
        yield _HEX, _from_hex
    if "%" in text:
        yield _PERCENT, unquote
    if "\\u" in text:
        yield _ESCAPED, _from_escapes


def _from_base64(blob: str) -> str:
    plain = blob.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _from_hex(blob: str) -> str:
    return bytes.fromhex(blob).decode("utf-8", "replace")


def _from_escapes(blob: str) -> str:
    codes = re.findall(r"\\u([0-9A-Fa-f]{4})([ \t]?)", blob)
    return "".join(chr(int(code, 16)) + space for code, space in codes)


def _is_prose(text: str) -> bool:
    readable = sum(char.isascii() and (char.isprintable() or char in "\n\t") for char in text)
    words = re.findall(r"[A-Za-z]{2,}", text)
    return len(words) >= _LEAST_WORDS and readable >= _READABLE * len(text)
