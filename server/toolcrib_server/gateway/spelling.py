"""Names of fields as every face writes them, and as every face takes them.

Answers are camelCase, as REST has them. Limits and weights may come in either spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic.alias_generators import to_camel

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject

from .constraints import CONSTRAINTS_SCHEMA

_WEIGHTS: Final = ("max_cost_usd", "max_latency_ms")
_EITHER: Final = ("constraints", "weights")


def camel(view: Mapping[str, Any]) -> dict[str, Any]:
    """Write the names of an object's own fields as every face does."""
    return {to_camel(name): value for name, value in view.items()}


def plain_limit(name: str) -> str:
    """Give a limit's name as the schema has it, whichever way it was spelt."""
    return _plain_names().get(name, name)


def one_spelling(arguments: JsonObject) -> JsonObject:
    """Bring the names of limits and weights to the schema's spelling.

    Raises:
        InvalidInput: One is given in both spellings.
    """
    mended = dict(arguments)
    for name in _EITHER:
        given = mended.get(name)
        if isinstance(given, Mapping):
            mended[name] = _spelt_once(cast("Mapping[str, Any]", given))
    return mended


def _spelt_once(given: Mapping[str, Any]) -> dict[str, Any]:
    spelt: dict[str, Any] = {}
    for field, value in given.items():
        name = plain_limit(field)
        if name in spelt:
            raise InvalidInput(f"{name} is given twice, in two spellings. Give it once.")
        spelt[name] = value
    return spelt


def _plain_names() -> dict[str, str]:
    return {to_camel(name): name for name in (*CONSTRAINTS_SCHEMA["properties"], *_WEIGHTS)}
