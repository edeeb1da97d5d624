"""Large JSON, read and written so that nobody else in the process has to wait for it.

The readers and writers of C hold the interpreter until they are done, whichever thread they run in.
So large values go through them piece by piece, in a worker thread, and others get their turn
between two pieces. What comes of it is what `json` would make of the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar, cast

import anyio.to_thread

T = TypeVar("T")

BULKY_BYTES: Final = 256 * 1024
BULKY_VALUES: Final = 5_000
_BATCH: Final = 500
_DEPTH: Final = 3
"""Levels of lists and objects that are gone through here: a body's fields, messages, and parts."""
_SPACE: Final = re.compile(r"[ \t\n\r]*")


async def aside(work: Callable[[Any], T], value: object) -> T:
    """Do something with a value here, or in a worker thread where it is large.

    Raises:
        Exception: Whatever ``work`` raises.
    """
    if not is_bulky(value):
        return work(value)
    return await anyio.to_thread.run_sync(partial(work, value))


def is_bulky(value: object) -> bool:
    """Whether it is so large that going through it is felt; stops counting where that is clear."""
    waiting, values, size = [value], 0, 0
    while waiting:
        each = waiting.pop()
        values += 1
        if isinstance(each, str | bytes):
            size += len(each)
        elif isinstance(each, dict):
            own = cast("dict[str, object]", each)
            values += max(len(own) - BULKY_VALUES, 0)
            waiting += list(own.values()) if values <= BULKY_VALUES else []
        elif isinstance(each, list):
            items = cast("list[object]", each)
            values += max(len(items) - BULKY_VALUES, 0)
            waiting += items if values <= BULKY_VALUES else []
        if values > BULKY_VALUES or size > BULKY_BYTES:
            return True
    return False


def write_json(value: object, encode: Callable[[Any], str]) -> str:
    """Write a value, a piece at a time. ``encode`` writes one piece, without spaces."""
    return "".join(_written(value, encode, _DEPTH))


def _written(value: object, encode: Callable[[Any], str], depth: int) -> Iterator[str]:
    if depth and isinstance(value, dict) and value:
        opening = "{"
        for key, each in cast("dict[str, object]", value).items():
            yield f"{opening}{encode({key: 0})[1:-2]}"
            yield from _written(each, encode, depth - 1)
            opening = ","
        yield "}"
    elif isinstance(value, list) and len(cast("list[object]", value)) > (0 if depth else _BATCH):
        items = cast("list[object]", value)
        for start in range(0, len(items), _BATCH):
            yield "," if start else "["
            yield from _batch(items[start : start + _BATCH], encode, depth)
        yield "]"
    else:
        yield encode(value)


def _batch(items: list[object], encode: Callable[[Any], str], depth: int) -> Iterator[str]:
    """Write some items of a list, with commas between."""
    if not depth or not any(isinstance(each, dict | list) for each in items):
        yield encode(items)[1:-1]
        return
    for at, each in enumerate(items):
        yield "," if at else ""
        yield from _written(each, encode, depth - 1)


def read_json(text: str, decoder: json.JSONDecoder) -> Any:
    """Read a text, a piece at a time, as ``decoder`` would read it at once.

    Raises:
        ValueError: It is not JSON.
    """
    value, end = _read(text, _skip(text, 0), decoder, _DEPTH - 1)
    end = _skip(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _read(text: str, at: int, decoder: json.JSONDecoder, depth: int) -> tuple[Any, int]:
    opening = text[at : at + 1]
    if depth and opening == "{":
        return _read_object(text, at + 1, decoder, depth)
    if depth and opening == "[":
        return _read_list(text, at + 1, decoder, depth)
    return decoder.raw_decode(text, at)


def _read_object(
    text: str, at: int, decoder: json.JSONDecoder, depth: int
) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, at
            )
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        found[key], at = _read(text, _skip(text, at + 1), decoder, depth - 1)
        at, ended = _next(text, at, "}")
        if ended:
            return found, at


def _read_list(text: str, at: int, decoder: json.JSONDecoder, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _skip(text, at)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, at = _read(text, at, decoder, depth - 1)
        found.append(value)
        at, ended = _next(text, at, "]")
        if ended:
            return found, at


def _next(text: str, at: int, closing: str) -> tuple[int, bool]:
    """Go past a comma, or the end of a list or object."""
    at = _skip(text, at)
    mark = text[at : at + 1]
    if mark == closing:
        return at + 1, True
    if mark != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return _skip(text, at + 1), False


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
