"""One tool as a view has it: what is shown of it, what is sent, and whether both can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from toolcrib_registry.errors import ArgumentProblem, InvalidArguments
from toolcrib_registry.types import JsonObject, MarkReason, Tool, ToolOverride
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck
from toolcrib_server.scan import reveal_all
from toolcrib_server.selection.brief import reasons_of

from .schema import conjuncts, without

_SHOWN_PARAMETERS: Final = 20
_REFERRED_TO: Final = ("$schema", "$defs", "definitions")
_OPEN: Final = ("additionalProperties", "patternProperties", "unevaluatedProperties")
"""What lets a tool take arguments that it does not name."""


def shown_definition(tool: Tool, override: ToolOverride | None = None) -> dict[str, Any]:
    """Write the definition of a tool as clients of the view see it, under its name there.

    What cannot be seen is taken out of a tool that is marked for it.
    """
    said: JsonObject = tool.definition
    if MarkReason.HIDDEN_TEXT in reasons_of(tool):
        said = cast("JsonObject", reveal_all(said))
    definition: dict[str, Any] = {**said, "name": tool.name}
    if override is None:
        return definition
    definition["name"] = override.name or tool.name
    if override.title is not None:
        definition["title"] = override.title
    if override.description is not None:
        definition["description"] = override.description
    if override.withheld or override.defaults:
        definition["inputSchema"] = without(
            definition.get("inputSchema") or {}, override.withheld, optional=override.defaults
        )
    return definition


def sent_arguments(override: ToolOverride | None, given: JsonObject) -> JsonObject:
    """Complete the arguments of a caller as the view has it.

    Raises:
        InvalidArguments: Something was given that is not the caller's to give.
    """
    if override is None:
        return given
    taken = sorted(override.withheld.intersection(given))
    if taken:
        problems = [ArgumentProblem(name, "is no parameter of this tool here") for name in taken]
        raise InvalidArguments(override.name or override.tool, problems)
    return {**override.defaults, **given, **override.fixed}


def find_misfits(tool: Tool, override: ToolOverride) -> tuple[str, ...]:
    """Say what of an override does not fit the tool as it is now; each is a sentence."""
    found = [
        *_given_twice(override),
        *_unknown(tool, override),
        *_unsatisfied(tool, override),
        *_unfit(tool, override),
    ]
    return tuple(f"{tool.name}: {problem}." for problem in found)


def _given_twice(override: ToolOverride) -> Iterator[str]:
    for name in sorted(override.defaults.keys() & override.fixed.keys()):
        yield f"{name!r} stands under both defaults and fixed; keep one"


def _unknown(tool: Tool, override: ToolOverride) -> Iterator[str]:
    parameters = parameters_of(tool.input_schema)
    takes_others = _takes_others(tool.input_schema)
    for name in sorted({*override.hidden, *override.defaults, *override.fixed}):
        if name in parameters or (takes_others and name not in override.hidden):
            continue
        those = ", ".join(list(parameters)[:_SHOWN_PARAMETERS]) or "none"
        yield f"it has no parameter {name!r}; those that it has: {those}"


def _unsatisfied(tool: Tool, override: ToolOverride) -> Iterator[str]:
    valued = override.defaults.keys() | override.fixed.keys()
    for name in _required(tool.input_schema):
        if name in override.withheld and name not in valued:
            yield (
                f"{name!r} is hidden, and the tool requires it: give a value under defaults or "
                "fixed, or show it"
            )


def _unfit(tool: Tool, override: ToolOverride) -> Iterator[str]:
    for group, values in (("defaults", override.defaults), ("fixed", override.fixed)):
        for name, value in values.items():
            for problem in _problems(tool, {name: value}):
                expected = f" (expected {problem.expected})" if problem.expected else ""
                yield f"{group}.{problem.path} {problem.problem}{expected}"


def _problems(tool: Tool, values: JsonObject) -> tuple[ArgumentProblem, ...]:
    """Hold values to what each part of the schema says of them; what is missing is no matter."""
    schema = tool.input_schema
    referred: dict[str, Any] = {key: schema[key] for key in _REFERRED_TO if key in schema}
    for level in conjuncts(schema):
        properties = level.get("properties")
        if isinstance(properties, Mapping):
            part = {**referred, "properties": cast("JsonObject", properties)}
            try:
                ArgumentCheck(tool.name, part).check(values)
            except InvalidArguments as error:
                return error.problems
    return ()


def parameters_of(schema: JsonObject) -> dict[str, object]:
    """Give the parameters that a schema names, each with what it says of it."""
    named: dict[str, object] = {}
    for level in conjuncts(schema):
        branches = (level.get(keyword) for keyword in ("anyOf", "oneOf"))
        listed = (cast("list[object]", each) for each in branches if isinstance(each, list))
        for part in (level, *(branch for each in listed for branch in each)):
            if isinstance(part, Mapping):
                properties = cast("JsonObject", part).get("properties")
                if isinstance(properties, Mapping):
                    named = {**cast("JsonObject", properties), **named}
    return named


def _required(schema: JsonObject) -> list[str]:
    names: dict[str, None] = {}
    for level in conjuncts(schema):
        if isinstance(required := level.get("required"), list):
            names.update(dict.fromkeys(str(name) for name in cast("list[object]", required)))
    return list(names)


def _takes_others(schema: JsonObject) -> bool:
    """Whether arguments that it does not name are meant to be taken, as far as it says."""
    levels = list(conjuncts(schema))
    if any(level.get(keyword) is False for level in levels for keyword in _OPEN):
        return False
    return not parameters_of(schema) or any(key in level for level in levels for key in _OPEN)
