"""What a row may say of a tool beside name, description and arguments.

Reads it into the fields that MCP has for it, and the rest into ``_meta``, bounded: a file of others
must not fill the registry with prose. Knows no file and no tool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from toolcrib_registry.types import DEPENDS_ON_KEY, QUESTIONS_KEY, TAGS_KEY, JsonObject

from .problem import Malformed

_MAX_TAGS: Final = 16
_MAX_TAG_CHARS: Final = 80
_MAX_DEPENDENCIES: Final = 64
_MAX_NAME_CHARS: Final = 256
_MAX_QUESTIONS: Final = 16
_MAX_QUESTION_CHARS: Final = 300

_TAGS: Final = "tags"
_SINGLE_TAGS: Final = ("category", "domain", "functionality")
_DEPENDENCIES: Final = ("depends_on", "dependsOn")
_QUESTIONS: Final = ("synthetic_questions", "questions")
_EXAMPLES: Final = "examples"
"""Many files keep sample calls there: what is no text is passed over."""
_OBJECTS: Final = {
    "output_schema": "outputSchema",
    "outputSchema": "outputSchema",
    "annotations": "annotations",
}


def read_declared(row: JsonObject) -> JsonObject:
    """Read the optional fields of a definition; absent ones are left out.

    Raises:
        Malformed: A field is not of its type.
    """
    declared: dict[str, Any] = {}
    if title := _title(row):
        declared["title"] = title
    declared |= _objects(row)
    if meta := {key: words for key, words in _said(row) if words}:
        declared["_meta"] = meta
    return declared


def _title(row: JsonObject) -> str | None:
    """Read the name for people.

    Raises:
        Malformed: It is not text.
    """
    value = row.get("title")
    if value is not None and not isinstance(value, str):
        raise _not(value, "title", "text")
    return (value or "").strip() or None


def read_tags(row: JsonObject) -> tuple[str, ...]:
    """Read the tags, with category, domain and functionality among them.

    Raises:
        Malformed: They are not text.
    """
    return tuple(_bounded(_tags(row), _MAX_TAGS, _MAX_TAG_CHARS))


def _said(row: JsonObject) -> Iterator[tuple[str, list[str]]]:
    yield TAGS_KEY, list(read_tags(row))
    # Most rows say neither of these, and each look costs something: there are thousands of rows.
    if not row.keys().isdisjoint(_DEPENDENCIES):
        yield DEPENDS_ON_KEY, _bounded(_dependencies(row), _MAX_DEPENDENCIES, _MAX_NAME_CHARS)
    if not row.keys().isdisjoint((*_QUESTIONS, _EXAMPLES)):
        yield QUESTIONS_KEY, _bounded(_questions(row), _MAX_QUESTIONS, _MAX_QUESTION_CHARS)


def _tags(row: JsonObject) -> Iterator[str]:
    yield from _texts(row, _TAGS)
    for key in _SINGLE_TAGS:
        value = row.get(key)
        if isinstance(value, str):
            yield value
        elif value is not None:
            yield from _texts(row, key)


def _dependencies(row: JsonObject) -> Iterator[str]:
    for key in _DEPENDENCIES:
        for place, item in enumerate(_list(row, key)):
            name = cast("Mapping[str, Any]", item).get("name") if isinstance(item, dict) else item
            if not isinstance(name, str):
                raise Malformed(f"'{key}[{place}]' must be a name, or an object with one")
            yield name


def _questions(row: JsonObject) -> Iterator[str]:
    for key in _QUESTIONS:
        yield from _texts(row, key)
    examples = row.get(_EXAMPLES)
    if isinstance(examples, list):
        yield from (item for item in cast("list[object]", examples) if isinstance(item, str))


def _objects(row: JsonObject) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for key, field in _OBJECTS.items():
        value = row.get(key)
        if value is not None and not isinstance(value, dict):
            raise _not(value, key, "an object")
        if value:
            found[field] = cast("JsonObject", value)
    return found


def _texts(row: JsonObject, key: str) -> Iterator[str]:
    for place, item in enumerate(_list(row, key)):
        if not isinstance(item, str):
            raise _not(item, f"{key}[{place}]", "text")
        yield item


def _list(row: JsonObject, key: str) -> list[object]:
    value = row.get(key)
    if value is not None and not isinstance(value, list):
        raise _not(value, key, "a list")
    return cast("list[object]", value or [])


def _bounded(texts: Iterator[str], count: int, chars: int) -> list[str]:
    plain = (" ".join(text.split())[:chars].rstrip() for text in texts)
    return list(dict.fromkeys(text for text in plain if text))[:count]


def _not(value: object, key: str, expected: str) -> Malformed:
    return Malformed(f"{key!r} must be {expected}, not {type(value).__name__}")
