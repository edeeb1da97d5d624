"""What pydantic finds wrong with input, in plain sentences: a field, and what is wrong with it.

Knows pydantic's words and no model: the branches of a union are one field, and only what is nearest
to fitting is said of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_BRANCHES: Final = frozenset({"str", "int", "float", "bool", "list", "function-after", "nullable"})
_SHOULD_BE: Final = "Input should be "
_VALID: Final = "a valid "


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a field; ``path`` is empty for the whole."""

    path: str
    problem: str
    expected: str = ""

    def __str__(self) -> str:
        """Say it as a sentence, without its full stop."""
        what = f"must be {self.expected}" if self.expected else self.problem
        return f"{self.path or 'it'} {what}"


def complaints(found: Iterable[Mapping[str, Any]], *, below: int = 0) -> list[Complaint]:
    """Read the errors of a `pydantic.ValidationError`; the first ``below`` parts are no field's."""
    by_path: dict[str, list[tuple[str, str]]] = {}
    for item in found:
        path = "" if item["type"] == "json_invalid" else _path(item["loc"][below:])
        by_path.setdefault(path, []).append(_said(item))
    said = [_joined(path, _nearest(each)) for path, each in by_path.items()]
    return [one for one in said if not _is_inside(one, by_path)]


def _is_inside(one: Complaint, paths: Iterable[str]) -> bool:
    """Whether a value is of the right type for some branch, which complains of what is in it."""
    return one.expected.startswith(_VALID) and any(p.startswith(f"{one.path}.") for p in paths)


def _nearest(said: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Leave out that a value is of another type, where it is of the right one for some branch."""
    fitting = [one for one in said if not one[1].startswith(_VALID)]
    return fitting or said


def _joined(path: str, said: Sequence[tuple[str, str]]) -> Complaint:
    what = "; ".join(dict.fromkeys(problem for problem, _ in said))
    fits = " or ".join(dict.fromkeys(expected for _, expected in said if expected))
    return Complaint(path, what, fits)


def _path(location: Sequence[str | int]) -> str:
    return ".".join(part for part in _parts(location))


def _parts(location: Sequence[str | int]) -> Iterator[str]:
    for part in map(str, location):
        if part not in _BRANCHES and not set(part) & set("[]-()"):
            yield part


def _said(item: Mapping[str, Any]) -> tuple[str, str]:
    message, context = str(item["msg"]), item.get("ctx", {})
    match item["type"]:
        case "missing":
            return "is missing", ""
        case "json_invalid":
            return f"is not JSON: {context.get('error', 'cannot be parsed')}", "JSON"
        case "too_short" | "string_too_short" if context.get("min_length") == 1:
            return "is empty", ""
        case "too_long" | "string_too_long":
            what = "items" if context.get("field_type") == "List" else "characters"
            return f"is too long: at most {context.get('max_length')} {what}", ""
        case _ if message.startswith(_SHOULD_BE):
            return "is not valid", message.removeprefix(_SHOULD_BE)
        case _:
            return message[:1].lower() + message[1:], ""
