"""Learned values as bytes, and back: plain numbers and texts, arrays, and records of known classes.

Nothing in such bytes is ever run: a class is looked up among those of these rooms by its name and
built from its fields. Knows no file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from types import ModuleType
from typing import Any, Final, cast

import numpy as np

from toolcrib_server.selection.routing import (
    clusters,
    forms,
    guard,
    kernel,
    linear,
    margin,
    neighbours,
    profile,
    quality,
    router,
    targets,
    usage,
)

from . import drift, judging, policy, voices, weights

_MAGIC: Final = b"toolcrib fit 1\n"
_LENGTH_BYTES: Final = 8
_ALIGNED: Final = 64
_KINDS: Final = frozenset({"<f4", "<f8", "<i8", "|b1"})
_MODULES: Final[tuple[ModuleType, ...]] = (
    clusters,
    forms,
    guard,
    kernel,
    linear,
    margin,
    neighbours,
    profile,
    quality,
    router,
    targets,
    usage,
    drift,
    judging,
    policy,
    voices,
    weights,
)


class Unreadable(Exception):
    """These bytes are no such value; the message says why. Never leaves this room."""


class Unfreezable(Exception):
    """A value cannot be written; the message says which. Never leaves this room."""


def freeze(value: object) -> bytes:
    """Write a value.

    Raises:
        Unfreezable: Something in it is none of what can be read again.
    """
    writer = _Writer()
    head = json.dumps(writer.node(value), separators=(",", ":")).encode()
    body = (
        len(head).to_bytes(_LENGTH_BYTES, "little")
        + head
        + b"".join(_padded(len(head), writer.arrays))
    )
    return _MAGIC + hashlib.sha256(body).digest() + body


def thaw(data: bytes) -> object:
    """Read a value.

    Raises:
        Unreadable: The bytes are cut, changed, or of another kind.
    """
    start = len(_MAGIC) + hashlib.sha256().digest_size
    body = memoryview(data)[start:]
    if data[: len(_MAGIC)] != _MAGIC or len(body) < _LENGTH_BYTES:
        raise Unreadable("it is no kept fit, or one of another format")
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise Unreadable("its checksum is not that of its content")
    length = int.from_bytes(body[:_LENGTH_BYTES], "little")
    try:
        head: object = json.loads(bytes(body[_LENGTH_BYTES : _LENGTH_BYTES + length]))
        return _Reader(body[_begins(length) :]).value(head)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def classes() -> dict[str, type]:
    """Name every class that may be read."""
    found: dict[str, type] = {}
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                found[_name(value)] = value
    return found


def _name(kind: type) -> str:
    return f"{kind.__module__.removeprefix('toolcrib_server.')}:{kind.__qualname__}"


class _Writer:
    def __init__(self) -> None:
        self.arrays: list[bytes] = []
        self._places: dict[int, dict[str, Any]] = {}
        self._held: list[np.ndarray[Any, Any]] = []
        self._at = 0
        self._known = classes()

    def node(self, value: object) -> Any:
        if value is None or isinstance(value, bool | int | float) or type(value) is str:
            # A number of numpy's passes for one, and is not written as one.
            return float(value) if isinstance(value, np.float64) else value
        if isinstance(value, np.ndarray):
            return {"a": self._array(cast("np.ndarray[Any, Any]", value))}
        if isinstance(value, np.number | np.bool_):
            return cast("Any", value).item()
        if isinstance(value, datetime):
            return {"at": value.isoformat()}
        if isinstance(value, tuple | list | frozenset):
            return self._many(cast("Iterable[object]", value))
        if isinstance(value, Mapping):
            pairs = cast("Mapping[object, object]", value).items()
            return {"d": [[self.node(key), self.node(each)] for key, each in pairs]}
        return self._record(value)

    def _many(self, values: Iterable[object]) -> dict[str, Any]:
        if isinstance(values, frozenset):
            return {"s": sorted(self.node(each) for each in values)}
        kind = "t" if isinstance(values, tuple) else "l"
        return {kind: [self.node(each) for each in values]}

    def _record(self, value: object) -> dict[str, Any]:
        name = _name(type(value))
        if name not in self._known:
            raise Unfreezable(name)
        if isinstance(value, StrEnum):
            return {"e": [name, value.value]}
        if isinstance(value, router.Router):
            return {"r": self.node(value.parts)}
        if not is_dataclass(value):
            raise Unfreezable(name)
        shown = {f.name: self.node(getattr(value, f.name)) for f in fields(value)}
        return {"c": [name, shown]}

    def _array(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        if id(array) not in self._places:
            plain = np.ascontiguousarray(array)
            if plain.dtype.str not in _KINDS:
                raise Unfreezable(f"an array of {plain.dtype}")
            self._held.append(array)
            self._places[id(array)] = {
                "kind": plain.dtype.str,
                "shape": list(array.shape),
                "at": self._at,
            }
            raw = plain.tobytes()
            self.arrays.append(raw + b"\0" * (-len(raw) % _ALIGNED))
            self._at += len(self.arrays[-1])
        return self._places[id(array)]


class _Reader:
    def __init__(self, arrays: memoryview) -> None:
        self._arrays = arrays
        self._known = classes()

    def value(self, node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        ((kind, inner),) = cast("dict[str, Any]", node).items()
        match kind:
            case "a":
                return self._array(inner)
            case "at":
                return datetime.fromisoformat(inner)
            case "t":
                return tuple(self.value(each) for each in inner)
            case "l":
                return [self.value(each) for each in inner]
            case "s":
                return frozenset(inner)
            case "d":
                return {self.value(key): self.value(each) for key, each in inner}
            case _:
                return self._record(kind, inner)

    def _record(self, kind: str, inner: Any) -> Any:
        match kind:
            case "e":
                return self._known[inner[0]](inner[1])
            case "r":
                return router.Router.of(self.value(inner))
            case "c":
                made = {name: self.value(each) for name, each in inner[1].items()}
                return self._known[inner[0]](**made)
            case _:
                raise Unreadable(f"there is no kind of value {kind[:20]!r}")

    def _array(self, told: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        if told["kind"] not in _KINDS:
            raise Unreadable(f"there is no array of {told['kind'][:20]!r}")
        shape = tuple(int(each) for each in told["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(self._arrays, dtype=told["kind"], count=count, offset=told["at"])
        return flat.reshape(shape)


def _begins(length: int) -> int:
    """Say where arrays begin after a head of that length."""
    return (_LENGTH_BYTES + length + _ALIGNED - 1) // _ALIGNED * _ALIGNED


def _padded(length: int, arrays: Iterable[bytes]) -> Iterable[bytes]:
    yield b"\0" * (_begins(length) - _LENGTH_BYTES - length)
    yield from arrays
