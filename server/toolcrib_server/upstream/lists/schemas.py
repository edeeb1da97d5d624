"""Whether a tool's schema can be used: JSON Schema, of bounded size and depth. Fetches nothing."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

MAX_NODES = 10_000
MAX_DEPTH = 100
_REMEMBERED = 100_000


class SchemaCheck:
    """Judges schemas; remembers the verdict by content, since most are the same at each sync."""

    def __init__(self) -> None:
        self._verdicts: dict[bytes, str | None] = {}

    def find_fault(self, schema: object, encoded: bytes) -> str | None:
        """Say what makes ``schema`` unusable; None when it is fine. ``encoded`` is its JSON.

        ``$ref`` is not followed: that is for whoever validates with it, without the network.
        """
        key = hashlib.blake2b(encoded, digest_size=16).digest()
        if key not in self._verdicts:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[key] = _find_fault(schema)
        return self._verdicts[key]


def _find_fault(schema: object) -> str | None:
    if not isinstance(schema, dict):
        return "is not an object"
    known = cast("dict[str, Any]", schema)
    fault = _too_big(known)
    if fault is not None:
        return fault
    try:
        dialect = validator_for(known, default=Draft202012Validator)
        dialect.check_schema(known)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        return f"is not JSON Schema: {_shorten(error.message)}" + (
            f" (at {where})" if where else ""
        )
    except (RecursionError, TypeError, ValueError) as error:
        return f"cannot be checked: {type(error).__name__}"
    return None


def _too_big(schema: dict[str, Any]) -> str | None:
    nodes = 0
    stack: list[tuple[object, int]] = [(schema, 1)]
    while stack:
        node, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            return f"has more than {MAX_NODES} parts"
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
        inner: list[Any] = []
        if isinstance(node, dict):
            inner = list(cast("dict[str, Any]", node).values())
        elif isinstance(node, list):
            inner = cast("list[Any]", node)
        stack.extend((each, depth + 1) for each in inner)
    return None


def _shorten(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004  # a line or two
