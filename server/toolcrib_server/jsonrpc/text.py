"""JSON-RPC messages to bytes and back, without loss and without harm.

What a peer sent is handed on: it must stay what it was, and be something that can be written again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

MAX_DEPTH = 100
"""Levels of lists and objects. Writers of JSON and models' providers refuse a few hundred."""
MAX_DIGITS = 4300
"""Digits of an integer: Python's own limit, without which reading takes quadratic time."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """It is not JSON as RFC 8259 has it, in UTF-8."""


class TooDeep(ValueError):
    """It is JSON, and nested more than `MAX_DEPTH` levels deep."""

    def __init__(self) -> None:
        super().__init__(f"nested more than {MAX_DEPTH} levels deep")


def encode(message: Mapping[str, Any] | list[Any]) -> bytes:
    """Write a message as one line of UTF-8 JSON, without the newline.

    What JSON cannot spell is replaced: lone surrogates, which its escapes and Python's strings may
    hold and UTF-8 may not, and numbers that are none.
    """
    try:
        text = _encode(message)
    except ValueError:
        text = _encode(_with_finite(message))
    return text.encode("utf-8", "replace")


def decode(data: bytes) -> Any:
    """Read what a peer sent, strictly; lone surrogates become U+FFFD.

    Raises:
        NotJson: It is not JSON, not UTF-8, or holds a number that cannot be kept.
        TooDeep: It is nested too deeply to be handed on.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
        decoded = _decode(text)
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and is_deeper(decoded, MAX_DEPTH):
        raise TooDeep
    # Escapes are the only way in: UTF-8 cannot spell a surrogate.
    return mend(decoded) if b"\\ud" in data or b"\\uD" in data else decoded


def holds_nul(encoded: bytes) -> bool:
    """Whether canonical JSON holds NUL; after an escaped backslash it is only text about NUL."""
    # The quick look first: the exact one takes longer than every other check of an object.
    return b"\\u0000" in encoded and _NUL.search(encoded) is not None


def is_deeper(value: object, limit: int) -> bool:
    """Whether lists and objects nest more than ``limit`` levels deep."""
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
        level = [inner for each in level for inner in _parts(each)]
    return True


def mend(value: Any) -> Any:
    """Replace lone surrogates, in keys too."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [mend(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {mend(key): mend(each) for key, each in cast("dict[str, Any]", value).items()}
    return value


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value)


def _with_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_with_finite(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _with_finite(each) for key, each in cast("dict[str, Any]", value).items()}
    return value


def _read_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise NotJson(f"{literal[:40]} is beyond what a number can hold")
    return number


def _refuse_constant(literal: str) -> None:
    raise NotJson(f"{literal} is not JSON")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_float=_read_float, parse_constant=_refuse_constant).decode
