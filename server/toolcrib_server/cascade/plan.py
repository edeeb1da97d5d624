"""What a caller wants of a cascade: how answers are checked, and how far it may climb.

Read from JSON as the faces take it, strictly. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import is_deeper

from .verdicts import CheckKind

MAX_STEPS: Final = 5
_DEFAULT_STEPS: Final = 3
_MOST_CHECKS: Final = 8
_MOST_SAMPLES: Final = 10
_DEFAULT_SAMPLES: Final = 3
_LONGEST_PATTERN: Final = 2_000
_MAX_DEPTH: Final = 64
_MOST_PARTS: Final = 3_000
"""Of a schema: to see that it is one takes up to a tenth of a millisecond for each."""
_FIELDS: Final = ("verify", "models", "max_steps", "accept")
_OPTIONS: Final[Mapping[CheckKind, frozenset[str]]] = {
    CheckKind.JSON_SCHEMA: frozenset({"schema"}),
    CheckKind.PATTERN: frozenset({"pattern"}),
    CheckKind.COMMAND: frozenset({"name"}),
    CheckKind.SELF_CONSISTENCY: frozenset({"samples"}),
    CheckKind.JUDGE: frozenset({"model", "rubric"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check and its options; those of other kinds are left at nothing."""

    kind: CheckKind
    schema: JsonObject | bool | None = None
    pattern: str = ""
    name: str = ""
    samples: int = _DEFAULT_SAMPLES
    """Answers that are compared, the one that is checked included."""
    model: str = ""
    rubric: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePlan:
    """How to climb. ``checks`` are in the order in which they are made, the cheapest first."""

    checks: tuple[CheckSpec, ...]
    models: tuple[str, ...] = ()
    """The models to ask, smallest first; none: chosen among the ranked by their cost."""
    max_steps: int = _DEFAULT_STEPS
    """How many are asked at most, where they are not named."""
    accept: float | None = None
    """The least score that is accepted; None: as calibrated, or the default."""


def read_plan(given: object, body: JsonObject, *, commands: Collection[str]) -> CascadePlan:
    """Read a plan: ``true``, or an object with ``verify``, ``models``, ``max_steps``, ``accept``.

    Where no check is named, the request's own JSON schema is one; without that the model is asked
    three times. ``commands`` are the names of those that the operator allows.

    Raises:
        InvalidInput: It makes no sense; the message names the field.
    """
    own = _object("cascade", {} if given is True else given, _FIELDS)
    listed = own.get("verify")
    specs = _default_checks(body) if listed is None else _checks(listed, body, commands)
    models = _texts("cascade.models", own.get("models") or [])
    if len(models) > MAX_STEPS:
        raise InvalidInput(f"cascade.models names {len(models)}; at most {MAX_STEPS}.")
    if len(set(models)) < len(models):
        raise InvalidInput("cascade.models names a model twice.")
    return CascadePlan(
        checks=tuple(sorted(specs, key=lambda spec: list(CheckKind).index(spec.kind))),
        models=models,
        max_steps=_whole("cascade.max_steps", own.get("max_steps", _DEFAULT_STEPS), 1, MAX_STEPS),
        accept=_share("cascade.accept", own.get("accept")),
    )


def _default_checks(body: JsonObject) -> list[CheckSpec]:
    schema = _asked_schema(body)
    if schema is not None:
        return [CheckSpec(kind=CheckKind.JSON_SCHEMA, schema=_checked_schema(schema))]
    return [CheckSpec(kind=CheckKind.SELF_CONSISTENCY)]


def _checks(listed: object, body: JsonObject, commands: Collection[str]) -> list[CheckSpec]:
    if not isinstance(listed, list) or not listed:
        raise InvalidInput('cascade.verify must be a list of checks, as [{"kind": "json-schema"}].')
    items = cast("list[object]", listed)
    if len(items) > _MOST_CHECKS:
        raise InvalidInput(f"cascade.verify has {len(items)} checks; at most {_MOST_CHECKS}.")
    return [_check(f"cascade.verify.{at}", item, body, commands) for at, item in enumerate(items)]


def _check(where: str, item: object, body: JsonObject, commands: Collection[str]) -> CheckSpec:
    if isinstance(item, str):
        item = {"kind": item}
    kind = _kind(where, item)
    own = _object(where, item, ("kind", *sorted(_OPTIONS[kind])))
    match kind:
        case CheckKind.JSON_SCHEMA:
            schema = own.get("schema", _asked_schema(body))
            if schema is None:
                raise InvalidInput(
                    f"{where}.schema is missing, and the request's response_format has none."
                )
            return CheckSpec(kind=kind, schema=_checked_schema(schema))
        case CheckKind.PATTERN:
            return CheckSpec(kind=kind, pattern=_pattern(where, own.get("pattern")))
        case CheckKind.COMMAND:
            return CheckSpec(kind=kind, name=_command(where, own.get("name"), commands))
        case CheckKind.SELF_CONSISTENCY:
            given = own.get("samples", _DEFAULT_SAMPLES)
            return CheckSpec(kind=kind, samples=_whole(f"{where}.samples", given, 2, _MOST_SAMPLES))
        case CheckKind.JUDGE:
            return CheckSpec(
                kind=kind,
                model=_text(f"{where}.model", own.get("model")),
                rubric=_text(f"{where}.rubric", own.get("rubric", "Is it right and complete?")),
            )


def _kind(where: str, item: object) -> CheckKind:
    named = cast("Mapping[str, Any]", item).get("kind") if isinstance(item, Mapping) else None
    try:
        return CheckKind(cast("str", named))
    except ValueError:
        known = ", ".join(CheckKind)
        raise InvalidInput(f"{where}.kind is {str(named)[:40]!r}; use one of {known}.") from None


def _asked_schema(body: JsonObject) -> Any:
    """Find the schema that the request itself asks the answer to fit."""
    shape: Any = body.get("response_format")
    for name in ("json_schema", "schema"):
        shape = cast("Mapping[str, Any]", shape).get(name) if isinstance(shape, Mapping) else None
    return shape


def _checked_schema(schema: object) -> JsonObject | bool:
    is_one = isinstance(schema, Mapping | bool)
    if not is_one or is_deeper(cast("object", schema), _MAX_DEPTH):
        raise InvalidInput("The schema that answers are checked by is no JSON Schema.")
    if _has_more_parts(cast("object", schema), _MOST_PARTS):
        raise InvalidInput(
            f"The schema that answers are checked by has more than {_MOST_PARTS} parts."
        )
    try:
        Draft202012Validator.check_schema(cast("JsonObject", schema))
    except (SchemaError, RecursionError) as error:
        reason = getattr(error, "message", "it nests too deeply")[:200]
        raise InvalidInput(f"The schema that answers are checked by is none: {reason}.") from error
    return cast("JsonObject", schema)


def _has_more_parts(value: object, most: int) -> bool:
    """Whether there are more keys and items in it than that."""
    waiting, parts = [value], 0
    while waiting and parts <= most:
        each = waiting.pop()
        held: list[object] = []
        if isinstance(each, Mapping):
            held = list(cast("Mapping[str, object]", each).values())
        elif isinstance(each, list):
            held = cast("list[object]", each)
        parts += len(held)
        waiting += held
    return parts > most


def _pattern(where: str, given: object) -> str:
    text = _text(f"{where}.pattern", given)
    if len(text) > _LONGEST_PATTERN:
        raise InvalidInput(f"{where}.pattern has {len(text)} characters; at most 2,000.")
    try:
        regex.compile(text)
    except (regex.error, ValueError) as error:
        raise InvalidInput(f"{where}.pattern is no regular expression: {error}.") from error
    except RecursionError:
        raise InvalidInput(f"{where}.pattern nests too deeply.") from None
    return text


def _command(where: str, given: object, commands: Collection[str]) -> str:
    name = _text(f"{where}.name", given)
    if name not in commands:
        known = f"known: {', '.join(sorted(commands))}" if commands else "none is"
        raise InvalidInput(
            f"{where}.name is {name[:40]!r}, which the operator has not set in "
            f"TOOLCRIB_VERIFIERS ({known})."
        )
    return name


def _object(where: str, given: object, fields: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} must be an object (or, of cascade, true).")
    own = cast("Mapping[str, Any]", given)
    unknown = [name for name in own if name not in fields]
    if unknown:
        raise InvalidInput(
            f"{where} has no field {str(unknown[0])[:40]!r}; known fields: {', '.join(fields)}."
        )
    return own


def _text(where: str, given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise InvalidInput(f"{where} is missing: give a text.")
    return given


def _texts(where: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise InvalidInput(f"{where} must be a list of names.")
    return tuple(_text(where, each) for each in cast("list[object]", given))


def _whole(where: str, given: object, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidInput(f"{where} is {str(given)[:40]}; give {least} to {most}.")
    return given


def _share(where: str, given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise InvalidInput(f"{where} is {str(given)[:40]}; give 0 to 1.")
    return float(given)
