"""What we have to say of a result, in its ``_meta``: beside what its server says there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from toolcrib_registry.errors import ArgumentProblem

PROBLEMS_KEY: Final = "io.toolcrib/outputProblems"
"""In the ``_meta`` of a result: what about it does not fit its tool's output schema."""


def marked(result: Mapping[str, Any], problems: Sequence[ArgumentProblem]) -> dict[str, Any]:
    """Say in a result what about it does not fit."""
    said = [f"{each.path or 'structuredContent'}: {each.problem}" for each in problems]
    return with_meta(result, PROBLEMS_KEY, said)


def with_meta(result: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """Add one key to the ``_meta`` of a result."""
    meta: object = result.get("_meta")
    kept = cast("Mapping[str, Any]", meta if isinstance(meta, Mapping) else {})
    return {**result, "_meta": {**kept, key: value}}
