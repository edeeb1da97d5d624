"""What a record tells of arguments: their names, types and sizes, never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from toolcrib_registry.types import JsonObject
from toolcrib_server.invocation.schemas.arguments import json_type


def shape_of(arguments: JsonObject) -> dict[str, str]:
    """Describe arguments by type and size alone, for the audit record."""
    if not isinstance(arguments, Mapping):
        return {"": _shape(arguments)}  # not what they should be
    return {str(key)[:64]: _shape(value) for key, value in list(arguments.items())[:32]}


def _shape(value: object) -> str:
    if isinstance(value, str | list | dict):
        sized = cast("Sequence[object]", value)
        return f"{json_type(sized)}({len(sized)})"
    return json_type(value)
