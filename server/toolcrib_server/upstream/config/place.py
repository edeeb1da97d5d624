"""A key in a configuration file, for errors that name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolcrib_registry.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Place:
    """A key in a file; the empty key is the file itself."""

    file: str
    key: str

    @property
    def text(self) -> str:
        """File and key, as they open a warning."""
        return f"{self.file}: {self.key}"

    def at(self, key: str) -> Place:
        """Name a key inside this one."""
        return Place(self.file, f"{self.key}.{key}" if self.key else key)

    def wrong(self, problem: str, fix: str) -> InvalidConfig:
        """Make the error about this key; the caller raises it."""
        return InvalidConfig(problem, file=self.file, key=self.key or None, fix=fix)


def describe(value: Any) -> str:
    """Name the JSON type of a value, never the value."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
