"""Does a result fit the output schema that its own tool declares? Never loses a result by itself.

Bounded as the check of arguments is: a schema that cannot be applied forbids nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from toolcrib_registry.errors import ArgumentProblem
from toolcrib_registry.types import JsonObject

from .arguments import SchemaMatch

PROBLEMS_KEY: Final = "io.toolcrib/outputProblems"
"""In the ``_meta`` of a result: what about it does not fit its tool's output schema."""


class ResultCheck:
    """A tool's output schema, compiled once. Not for two threads at the same time."""

    def __init__(self, schema: JsonObject) -> None:
        self._match = SchemaMatch(schema)

    def find_problems(self, result: Mapping[str, Any]) -> Sequence[ArgumentProblem]:
        """Say what does not fit; nothing where nothing is promised, as of an error."""
        kind = result.get("resultType", "complete")
        if result.get("isError") or kind != "complete" or "task" in result:
            return ()
        if "structuredContent" not in result:
            return [ArgumentProblem("structuredContent", "is missing")]
        return self._match.find_problems(result["structuredContent"])


def marked(result: Mapping[str, Any], problems: Sequence[ArgumentProblem]) -> dict[str, Any]:
    """Say in a result what about it does not fit."""
    said = [f"{each.path or 'structuredContent'}: {each.problem}" for each in problems]
    return with_meta(result, PROBLEMS_KEY, said)


def with_meta(result: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """Add one key to the ``_meta`` of a result."""
    meta: object = result.get("_meta")
    kept = cast("Mapping[str, Any]", meta if isinstance(meta, Mapping) else {})
    return {**result, "_meta": {**kept, key: value}}
