"""Do these arguments fit this schema? JSON Schema 2020-12, bounded, never fetching anything.

Says which field is wrong and what was expected, in words a model can act on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from jsonschema.exceptions import ValidationError

from toolcrib_registry.errors import ArgumentProblem, InvalidArguments
from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import is_deeper

from .budget import Budget, OutOfBudget, compile_schema

_MAX_PROBLEMS = 8
_MAX_SHOWN = 120
_MAX_DEPTH = 64
_MOST_OVERRUNS = 20
"""Checks that a schema may break off, until the registry changes, before it is left alone."""

logger = logging.getLogger(__name__)


class SchemaMatch:
    """A schema, compiled once, to hold values against. Not for two threads at the same time."""

    def __init__(self, schema: JsonObject) -> None:
        self._budget = Budget()
        self._validator = compile_schema(schema, self._budget)
        self._overruns = 0

    def find_problems(self, value: Any) -> Sequence[ArgumentProblem]:
        """Say what does not fit, in bounded time.

        A schema that cannot be applied (a ``$ref`` to elsewhere, one that never ends or costs too
        much) fits everything: the upstream is the judge of its own tool.
        """
        if self._overruns >= _MOST_OVERRUNS:
            return ()
        self._budget.renew()
        try:
            return [_problem(e) for e in islice(self._validator.iter_errors(value), _MAX_PROBLEMS)]
        except OutOfBudget:
            # Each costs all that a check may: a few show what the next ones would come to.
            self._overruns += 1
        except Exception as error:  # noqa: BLE001  # a stranger's schema, and any of its corners
            logger.debug("A schema cannot be applied: %r", error)
        return ()


class ArgumentCheck:
    """A tool's schema, compiled once. Not for two threads at the same time."""

    def __init__(self, tool: str, schema: JsonObject) -> None:
        self._tool = tool
        self._match = SchemaMatch(schema)

    def check(self, arguments: JsonObject) -> None:
        """Accept arguments that fit, in bounded time; see `SchemaMatch`.

        Raises:
            InvalidArguments: They do not fit; each misfit is named.
        """
        # The values in the innermost object are a level too.
        if is_deeper(arguments, _MAX_DEPTH - 1):
            problem = ArgumentProblem("", f"are nested deeper than {_MAX_DEPTH} levels")
            raise InvalidArguments(self._tool, [problem])
        problems = self._match.find_problems(arguments)
        if problems:
            raise InvalidArguments(self._tool, problems)


def _problem(error: ValidationError) -> ArgumentProblem:
    path = ".".join(str(part) for part in error.absolute_path)
    describe = _DESCRIBE.get(str(error.validator))
    if describe:
        return describe(path, error)
    return ArgumentProblem(path, _cut(error.message))


def _missing(path: str, error: ValidationError) -> ArgumentProblem:
    required = cast("Sequence[str]", error.validator_value)
    instance = cast("Mapping[str, Any]", error.instance)
    # One error per missing name; the message quotes it first.
    name = next(n for n in required if n not in instance and error.message.startswith(repr(n)))
    schema = cast("Mapping[str, Any]", error.schema).get("properties", {}).get(name)
    return ArgumentProblem(f"{path}.{name}" if path else name, "is missing", _expectation(schema))


def _wrong_type(path: str, error: ValidationError) -> ArgumentProblem:
    found = json_type(error.instance)
    return ArgumentProblem(path, f"is {found}", _expectation({"type": error.validator_value}))


def _not_in_enum(path: str, error: ValidationError) -> ArgumentProblem:
    allowed = ", ".join(repr(v) for v in cast("Sequence[Any]", error.validator_value))
    return ArgumentProblem(path, f"is {_cut(repr(error.instance))}", _cut(f"one of {allowed}"))


def _unknown(path: str, error: ValidationError) -> ArgumentProblem:
    known = cast("Mapping[str, Any]", error.schema).get("properties", {})
    instance = cast("Mapping[str, Any]", error.instance)
    extra = ", ".join(repr(name) for name in instance if name not in known)
    expected = f"only {', '.join(known)}" if known else "no fields"
    return ArgumentProblem(path, _cut(f"has unknown field {extra}"), _cut(expected))


def _no_branch(path: str, error: ValidationError) -> ArgumentProblem:
    context = error.context or ()
    # Branches of the right type, with something else wrong: what was meant, if there is only one.
    meant = {
        inner.relative_schema_path[0]: inner
        for inner in reversed(context)
        if inner.validator != "type" or inner.relative_path
    }
    if len(meant) == 1:
        return _problem(next(iter(meant.values())))
    expected = " or ".join(map(_expectation, cast("Sequence[object]", error.validator_value)))
    if meant or not expected.strip():
        return ArgumentProblem(path, _cut(error.message))
    return ArgumentProblem(path, f"is {json_type(error.instance)}", expected)


_DESCRIBE: Mapping[str, Callable[[str, ValidationError], ArgumentProblem]] = {
    "required": _missing,
    "type": _wrong_type,
    "enum": _not_in_enum,
    "additionalProperties": _unknown,
    "anyOf": _no_branch,
}


def _expectation(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return ""
    schema = cast("Mapping[str, Any]", schema)
    if "enum" in schema:
        return _cut("one of " + ", ".join(repr(v) for v in schema["enum"]))
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds
    named = cast("list[object]", kinds) if isinstance(kinds, list) else []
    return " or ".join(map(str, named))


def json_type(value: object) -> str:
    """Name a decoded value's type as JSON Schema does."""
    names = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}
    if value is None:
        return "null"
    return next((n for t, n in names.items() if isinstance(value, t)), "object")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
