"""Does a result fit the output schema that its own tool declares? Never loses a result by itself.

Bounded as the check of arguments is: a schema that cannot be applied forbids nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolcrib_registry.errors import ArgumentProblem
from toolcrib_registry.types import JsonObject

from .arguments import SchemaMatch


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
