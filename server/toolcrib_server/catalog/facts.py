"""Narrows the loose values of a catalogue's row to known facts, or to unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from toolcrib_registry.types import JsonObject, Known

from .problem import Malformed


@dataclass(frozen=True, slots=True)
class Facts:
    """One row, with the source and date that its facts bear. Absent and null are unknown.

    Every method raises `Malformed` when a value is there but of the wrong type.
    """

    row: JsonObject
    source: str
    as_of: date

    def text(self, key: str) -> Known[str] | None:
        """Read text; empty is unknown."""
        value = self.plain_text(key)
        return Known(value, self.source, self.as_of) if value else None

    def plain_text(self, key: str) -> str | None:
        """Read text that is no fact, such as a title."""
        value = self.row.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value or None

    def required_text(self, key: str) -> str:
        """Read text that must be there."""
        value = self.plain_text(key)
        if value is None or not value.strip():
            raise Malformed(f"no {key!r}")
        return value

    def flag(self, key: str) -> Known[bool] | None:
        """Read yes or no."""
        value = self.row.get(key)
        if value is None:
            return None
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return Known(value, self.source, self.as_of)

    def tokens(self, key: str) -> Known[int] | None:
        """Read a number of tokens; 0 stands for unknown, for nothing has a window of none."""
        value = self._number(key)
        if value is None or value == 0:
            return None
        if value < 0 or value != int(value):
            raise self._wrong(key, value, "a whole number")
        return Known(int(value), self.source, self.as_of)

    def price(self, key: str, *, scale: float = 1.0) -> Known[float] | None:
        """Read a price; 0 is free, and known."""
        value = self._number(key)
        if value is None:
            return None
        if value < 0:
            raise Malformed(f"{key!r} is {value}: a price cannot be below zero")
        # Ten decimals of a price per million: more is noise of the multiplication.
        return Known(round(value * scale, 10), self.source, self.as_of)

    def amount(self, key: str) -> Known[float] | None:
        """Read a quantity above zero; 0 stands for unknown."""
        value = self._number(key)
        if value is None or value == 0:
            return None
        if value < 0:
            raise Malformed(f"{key!r} is {value}: it cannot be below zero")
        return Known(float(value), self.source, self.as_of)

    def words(self, key: str) -> Known[tuple[str, ...]] | None:
        """Read a list of words; an empty one is unknown."""
        value = self.row.get(key)
        if value is None:
            return None
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        words = tuple(item for item in items if isinstance(item, str))
        if not isinstance(value, list) or len(words) < len(items):
            raise self._wrong(key, value, "a list of words")
        return Known(words, self.source, self.as_of) if words else None

    def _number(self, key: str) -> float | None:
        value = self.row.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not math.isfinite(value):
            raise Malformed(f"{key!r} is not a finite number")
        return value

    def _wrong(self, key: str, value: Any, expected: str) -> Malformed:
        return Malformed(
            f"{key!r} must be {expected}, not {type(value).__name__} {str(value)[:60]!r}"
        )


def positive(value: object) -> int | None:
    """Read a count that no row need have: what is no whole number above 0 is unknown."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if value > 0 else None
