"""JSON Schema validators that cost no more than they may. Schemas are strangers' data.

Some are built to double at each level, some hold patterns that never finish; a call must not wait
for them, nor the process. Knows nothing of tools.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import (
    extend,  # pyright: ignore[reportUnknownVariableType]  # partly typed upstream
    validator_for,
)
from referencing import Registry

from toolcrib_registry.types import JsonObject, canonical_json

_MAX_STEPS = 20_000
"""Keywords applied in one check: about a tenth of a second."""
_MATCHING_S = 0.1
"""Matching patterns in one check."""
_LONGEST_SHOWN = 80
_PARTS_IN_A_STEP = 8
_SIZED = (list, dict)
_CHARS_IN_A_STEP = 10_000
_SPELLED_IN_A_STEP = 200

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class OutOfBudget(Exception):
    """The schema costs more to apply than it may."""


class Budget:
    """What one check may spend. Shared by all keywords of one validator."""

    def __init__(self) -> None:
        self._steps = 0
        self._deadline = 0.0

    def renew(self) -> None:
        """Begin a new check."""
        self._steps = _MAX_STEPS
        self._deadline = time.monotonic() + _MATCHING_S

    def counted(self, keyword: Keyword) -> Keyword:
        """Count each application of a keyword."""

        def apply(
            validator: Any, value: Any, instance: Any, schema: Any
        ) -> Iterable[ValidationError] | None:
            # The library looks at each part of both, counted below or not.
            parts = len(value) if type(value) in _SIZED else 0
            if type(instance) in _SIZED:
                parts += len(instance)
            self._take_steps(1 + parts // _PARTS_IN_A_STEP)
            return keyword(validator, value, instance, schema)

        return apply

    def pattern(self, _: Any, value: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        """Check ``pattern``, by an engine that can be stopped."""
        if isinstance(instance, str) and not self._matches(value, instance):
            shown = repr(instance[:_LONGEST_SHOWN])
            yield ValidationError(f"{shown} does not match {value!r}")

    def pattern_properties(
        self, validator: Any, value: Mapping[str, Any], instance: Any, _: Any
    ) -> Iterator[ValidationError]:
        """Check ``patternProperties``, by the same engine."""
        if not isinstance(instance, Mapping):
            return
        for expression, schema in value.items():
            for name, item in cast("Mapping[str, Any]", instance).items():
                if self._matches(expression, name):
                    yield from validator.descend(item, schema, path=name, schema_path=expression)

    def unique_items(self, _: Any, value: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
        """Check ``uniqueItems`` in one pass; the library compares every pair."""
        if value and isinstance(instance, list):
            items = [self._spelled(item) for item in cast("list[object]", instance)]
            if len(set(items)) < len(items):
                yield ValidationError("has items that are the same")

    def _spelled(self, item: object) -> str:
        text = canonical_json(item)
        self._take_steps(1 + len(text) // _SPELLED_IN_A_STEP)
        return text

    def _take_steps(self, number: int) -> None:
        self._steps -= number
        if self._steps < 0:
            raise OutOfBudget

    def _matches(self, pattern: str, text: str) -> bool:
        self._take_steps(1 + len(text) // _CHARS_IN_A_STEP)
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise OutOfBudget
        try:
            return regex.search(pattern, text, timeout=left_s) is not None
        except TimeoutError:
            raise OutOfBudget from None
        except regex.error:
            return True


def compile_schema(schema: JsonObject, budget: Budget) -> Validator:
    """Make a validator of the dialect that the schema declares (2020-12 unless it does).

    It follows references inside the schema and fetches none. Applying it may raise `OutOfBudget`,
    `RecursionError`, or `referencing.exceptions.Unresolvable`.
    """
    dialect: Any = validator_for(schema, default=Draft202012Validator)
    keywords = {name: budget.counted(keyword) for name, keyword in dialect.VALIDATORS.items()}
    keywords["pattern"] = budget.pattern
    keywords["patternProperties"] = budget.pattern_properties
    keywords["uniqueItems"] = budget.unique_items
    bounded = cast("type[Validator]", extend(dialect, keywords))
    return bounded(schema, registry=Registry())
