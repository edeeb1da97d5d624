"""A plan is read strictly: what makes no sense is refused with the field's name."""

import time
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cascade.plan import read_plan
from toolcrib_server.cascade.verdicts import CheckKind

SCHEMA = {"type": "object", "required": ["a"]}
BODY = {"messages": [{"role": "user", "content": "hello"}]}
SHAPED = BODY | {
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
}


def read(given, body=BODY, commands=("unit",)):
    return read_plan(given, body, commands=commands)


def test_true_asks_the_model_again_unless_the_request_has_a_schema():
    (again,) = read(True).checks
    assert (again.kind, again.samples) == (CheckKind.SELF_CONSISTENCY, 3)
    (schema,) = read(True, SHAPED).checks
    assert (schema.kind, schema.schema) == (CheckKind.JSON_SCHEMA, SCHEMA)


def test_checks_are_made_in_the_order_of_their_price_whatever_the_order_given():
    judge = {"kind": "judge", "model": "big"}
    named = [judge, "self-consistency", {"kind": "command", "name": "unit"}, "json-schema"]
    plan = read({"verify": [*named, {"kind": "pattern", "pattern": "a"}]}, SHAPED)
    assert [spec.kind for spec in plan.checks] == list(CheckKind)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "cascade must be an object"),
        ({"verfy": []}, "no field 'verfy'"),
        ({"verify": []}, "must be a list of checks"),
        ({"verify": ["guess"]}, "verify.0.kind is 'guess'"),
        ({"verify": [7]}, "verify.0.kind is 'None'"),
        ({"verify": ["json-schema"]}, "verify.0.schema is missing"),
        ({"verify": [{"kind": "json-schema", "schema": {"type": "objekt"}}]}, "is none"),
        ({"verify": [{"kind": "json-schema", "schema": 7}]}, "no JSON Schema"),
        ({"verify": [{"kind": "pattern", "pattern": "("}]}, "no regular expression"),
        ({"verify": [{"kind": "pattern", "pattern": "a" * 2001}]}, "2001 characters"),
        ({"verify": [{"kind": "pattern"}]}, "pattern is missing"),
        ({"verify": [{"kind": "pattern", "pattern": "a", "flags": "i"}]}, "no field 'flags'"),
        ({"verify": [{"kind": "command", "name": "rm"}]}, "TOOLCRIB_VERIFIERS .known: unit"),
        ({"verify": [{"kind": "self-consistency", "samples": 1}]}, "samples is 1; give 2 to 10"),
        ({"verify": [{"kind": "self-consistency", "samples": True}]}, "samples is True"),
        ({"verify": [{"kind": "judge"}]}, "verify.0.model is missing"),
        ({"verify": ["self-consistency"] * 9}, "9 checks; at most 8"),
        ({"models": "small"}, "models must be a list"),
        ({"models": ["a", "a"]}, "names a model twice"),
        ({"models": list("abcdef")}, "names 6; at most 5"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"accept": 1.5}, "accept is 1.5"),
        ({"accept": float("nan")}, "accept is nan"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given, message):
    with pytest.raises(InvalidInput, match=message):
        read(given)


def test_a_schema_as_deep_as_a_well_is_refused():
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"items": deep}
    with pytest.raises(InvalidInput, match="no JSON Schema"):
        read({"verify": [{"kind": "json-schema", "schema": deep}]})


def test_a_schema_of_more_parts_than_can_be_looked_at_is_refused_at_once():
    vast = {"anyOf": [{} for _ in range(100_000)]}
    begin = time.process_time()
    with pytest.raises(InvalidInput, match="more than 3000 parts"):
        read({"verify": [{"kind": "json-schema", "schema": vast}]})
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("pattern", ["(?au)x", "\\N{}", "(?:" * 600 + ")" * 600])
def test_a_pattern_that_the_engine_stumbles_over_is_refused(pattern):
    with pytest.raises(InvalidInput, match=r"verify\.0\.pattern"):
        read({"verify": [{"kind": "pattern", "pattern": pattern}]})
