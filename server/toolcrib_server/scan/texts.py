"""Every piece of text in a listed definition, with where it stands and what part it plays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from toolcrib_registry.types import JsonObject

from .finding import escape

MAX_SCANNED_CHARS: Final = 256 * 1024
"""Of one definition. What is beyond is not read, and that is a finding of its own."""
MAX_SCANNED_TEXTS: Final = 20_000

_SHOWN_KEY: Final = 80
_PROSE: Final = frozenset({"description", "title", "$comment", "instructions"})
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_STRUCTURE: Final = frozenset({"type", "$schema", "$ref", "format", "$id", "mimeType"})


class Part(StrEnum):
    """What a piece of text is to its reader."""

    NAME = "name"
    """What the entry is called by."""
    PROSE = "prose"
    """What is said of it, or of a parameter."""
    PARAMETER = "parameter"
    """A parameter's name."""
    VALUE = "value"
    """A default, a choice, an example, or anything else."""


@dataclass(frozen=True, slots=True)
class Text:
    """One piece of text. ``where`` is a JSON pointer, printable, with long keys cut."""

    where: str
    part: Part
    value: str


def texts_of(definition: JsonObject) -> Iterator[Text]:
    """Walk a definition: names and descriptions first, then deeper, breadth first."""
    level: list[tuple[str, str, Any]] = [("", "", definition)]
    while level:
        deeper: list[tuple[str, str, Any]] = []
        for where, key, value in level:
            if isinstance(value, str):
                yield Text(where, _part(where, key), value)
            elif isinstance(value, Mapping):
                members = cast("Mapping[str, Any]", value)
                if key in _NAMED:
                    yield from (Text(_at(where, name), Part.PARAMETER, name) for name in members)
                deeper += ((_at(where, k), k, v) for k, v in members.items() if k not in _STRUCTURE)
            elif isinstance(value, list):
                items = enumerate(cast("list[Any]", value))
                deeper += ((f"{where}/{n}", key, item) for n, item in items)
        level = deeper


def _part(where: str, key: str) -> Part:
    if where in {"/name", "/uri", "/uriTemplate"}:
        return Part.NAME
    if key == "required":
        return Part.PARAMETER
    return Part.PROSE if key in _PROSE else Part.VALUE


def _at(where: str, key: str) -> str:
    if key.isidentifier() and key.isascii() and len(key) <= _SHOWN_KEY:
        return f"{where}/{key}"
    shown = escape(key[:_SHOWN_KEY])
    return f"{where}/{shown.replace('~', '~0').replace('/', '~1')}"
