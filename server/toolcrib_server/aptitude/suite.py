"""The questions of a test: read from JSON lines, each with checks that are certain.

The built-in ones are for a first impression of a model that nobody has used yet: easy for a large
one, and telling for a small one. Asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cascade.plan import CheckSpec, read_plan
from toolcrib_server.cascade.verdicts import CheckKind

DEFAULT_MAX_TOKENS: Final = 512
MOST_TASKS: Final = 1_000
_LONGEST_TEXT: Final = 16_000
_LONGEST_AREA: Final = 40
_MOST_TOKENS: Final = 32_000
_FIELDS: Final = ("id", "area", "prompt", "verify", "system", "max_tokens")
_KINDS: Final = frozenset({CheckKind.PATTERN, CheckKind.JSON_SCHEMA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question, and what its answer must pass."""

    id: str
    area: str
    prompt: str
    checks: tuple[CheckSpec, ...]
    system: str | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS


def built_in_suite() -> tuple[Task, ...]:
    """Read the questions that come with Toolcrib."""
    text = (files(__package__ or "") / "suite.jsonl").read_text(encoding="utf-8")
    return parse_suite(text, name="the built-in suite")


def load_suite(path: Path) -> tuple[Task, ...]:
    """Read the questions of a file.

    Raises:
        InvalidInput: It cannot be read, or a line of it makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"{path} cannot be read: {why}.") from error
    return parse_suite(text, name=str(path))


def parse_suite(text: str, *, name: str) -> tuple[Task, ...]:
    """Read questions, one to a line.

    Raises:
        InvalidInput: A line makes no sense, an id is given twice, or there is none.
    """
    # Not `splitlines`: JSON may hold U+2028 as it is.
    lines = [(at, line) for at, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not 1 <= len(lines) <= MOST_TASKS:
        raise InvalidInput(f"{name} has {len(lines)} questions; give 1 to {MOST_TASKS}.")
    tasks = tuple(_task(line, where=f"{name}, line {at}") for at, line in lines)
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise InvalidInput(f"{name} has the id {task.id[:80]!r} twice.")
        seen.add(task.id)
    return tasks


def _task(line: str, *, where: str) -> Task:
    given = _object(line, where)
    try:
        checks = read_plan({"verify": given.get("verify")}, {}, commands=()).checks
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.detail}") from error
    if given.get("verify") is None or any(check.kind not in _KINDS for check in checks):
        raise InvalidInput(
            f'{where}: verify must name certain checks, as [{{"kind": "pattern", "pattern": "…"}}] '
            f"({', '.join(sorted(_KINDS))})."
        )
    return Task(
        id=_text(given, "id", where, most=80),
        area=_text(given, "area", where, most=_LONGEST_AREA),
        prompt=_text(given, "prompt", where),
        checks=checks,
        system=None if given.get("system") is None else _text(given, "system", where),
        max_tokens=_tokens(given.get("max_tokens", DEFAULT_MAX_TOKENS), where),
    )


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidInput(f"{where} must be a JSON object with id, area, prompt and verify.")
    found = cast("dict[str, Any]", given)
    unknown = [field for field in found if field not in _FIELDS]
    if unknown:
        raise InvalidInput(
            f"{where} has no field {unknown[0][:40]!r}; known fields: {', '.join(_FIELDS)}."
        )
    return found


def _text(given: Mapping[str, Any], field: str, where: str, *, most: int = _LONGEST_TEXT) -> str:
    value = given.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise InvalidInput(f"{where}: {field} must be a text of 1 to {most} characters.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(f"{where}: {field} holds half a character.")
    return value


def _tokens(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_TOKENS:
        raise InvalidInput(f"{where}: max_tokens must be a whole number from 1 to {_MOST_TOKENS}.")
    return value
