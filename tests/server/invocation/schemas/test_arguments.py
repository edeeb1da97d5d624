"""Arguments against schemas: what is said of a misfit, and that no schema can do harm."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import ArgumentProblem, InvalidArguments
from toolcrib_server.invocation.schemas.arguments import ArgumentCheck

CONVERT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "time": {"type": "string"},
        "zone": {"type": "string", "enum": ["utc", "local"]},
        "hours": {"type": ["integer", "null"]},
        "inner": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}},
    },
    "required": ["time", "zone"],
    "additionalProperties": False,
}


def problems(arguments: dict[str, Any], schema: dict[str, Any] = CONVERT) -> list[ArgumentProblem]:
    with pytest.raises(InvalidArguments) as caught:
        ArgumentCheck("convert", schema).check(arguments)
    return sorted(caught.value.problems, key=lambda problem: problem.path)


def test_fitting_arguments_pass() -> None:
    ArgumentCheck("convert", CONVERT).check({"time": "12:00", "zone": "utc", "hours": None})


def test_a_missing_field_is_named_with_what_it_must_be() -> None:
    assert problems({"time": "12:00"}) == [
        ArgumentProblem("zone", "is missing", "one of 'utc', 'local'")
    ]


def test_a_wrong_type_is_named_with_the_type_found_and_the_type_expected() -> None:
    assert problems({"time": 12, "zone": "utc"}) == [
        ArgumentProblem("time", "is integer", "string")
    ]
    assert problems({"time": "12", "zone": "utc", "hours": "x"}) == [
        ArgumentProblem("hours", "is string", "integer or null")
    ]


def test_a_value_that_fits_no_branch_is_told_what_was_meant() -> None:
    branches: list[dict[str, Any]] = [
        {"type": "string", "minLength": 5},
        {"type": "array", "items": {"type": "integer"}},
        {"const": 7},
    ]
    schema = {"properties": {"x": {"anyOf": branches[:2]}, "y": {"anyOf": branches}}}
    wrong_type = ArgumentProblem("x", "is object", "string or array")
    assert problems({"x": {}}, schema) == [wrong_type]
    assert problems({"x": ["a"]}, schema) == [ArgumentProblem("x.0", "is string", "integer")]
    assert problems({"x": "abc"}, schema) == [ArgumentProblem("x", "'abc' is too short")]
    neither = ArgumentProblem("y", "'abc' is not valid under any of the given schemas")
    assert problems({"y": "abc"}, schema) == [neither]


def test_a_value_outside_an_enum_is_shown_with_what_is_allowed() -> None:
    assert problems({"time": "12", "zone": "mars"}) == [
        ArgumentProblem("zone", "is 'mars'", "one of 'utc', 'local'")
    ]


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    (problem,) = problems({"time": "12", "zone": "utc", "tz": 1})
    assert problem.problem == "has unknown field 'tz'"
    assert problem.expected == "only time, zone, hours, inner"


def test_a_nested_field_is_named_by_its_path() -> None:
    (problem,) = problems({"time": "12", "zone": "utc", "inner": {"n": 1}})
    assert problem.path == "inner.n"
    assert "minimum" in problem.problem


def test_every_misfit_is_named_at_once() -> None:
    assert [p.path for p in problems({"time": 1, "zone": 2})] == ["time", "zone", "zone"]


def test_the_error_says_it_in_a_sentence() -> None:
    with pytest.raises(
        InvalidArguments, match=r"convert do not fit: zone: is missing \(expected one"
    ):
        ArgumentCheck("convert", CONVERT).check({"time": "12"})


def test_a_reference_to_elsewhere_is_never_fetched_and_accepts() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}
    ArgumentCheck("t", schema).check({"a": 1})


def test_a_reference_inside_the_schema_is_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "integer"}},
    }
    assert problems({"a": "x"}, schema) == [ArgumentProblem("a", "is string", "integer")]


def test_a_schema_that_never_ends_accepts() -> None:
    ArgumentCheck("t", {"$ref": "#"}).check({"a": 1})


def test_an_expensive_pattern_cannot_hold_the_gateway() -> None:
    # Takes the standard library's matcher longer than the universe is old.
    pattern = "^(a|a|b?)*(x+x+)+y$"
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    started = time.process_time()
    with suppress(InvalidArguments):
        ArgumentCheck("t", schema).check({"a": "a" * 4000 + "x" * 4000})
    assert time.process_time() - started < 5


def test_a_plain_pattern_is_checked() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[0-9]+$"}}}
    (problem,) = problems({"a": "x"}, schema)
    assert problem.path == "a"
    assert "does not match" in problem.problem


def test_the_dialect_that_a_schema_declares_is_used() -> None:
    draft_7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"a": {"type": "array", "items": [{"type": "integer"}]}},
    }
    assert problems({"a": ["x"]}, draft_7) == [ArgumentProblem("a.0", "is string", "integer")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_any_arguments_pass_or_are_refused_with_a_reason(arguments: dict[str, Any]) -> None:
    refused: InvalidArguments | None = None
    try:
        ArgumentCheck("convert", CONVERT).check(arguments)
    except InvalidArguments as error:
        refused = error
    fits = arguments.keys() <= CONVERT["properties"].keys() and {"time", "zone"} <= arguments.keys()
    assert refused or fits
    assert refused is None or all(problem.problem for problem in refused.problems)


def doubling(keyword: str) -> dict[str, Any]:
    """A schema whose evaluation doubles at each of forty levels."""
    defs = {
        f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]}
        for i in range(40)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, "d40": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (doubling("allOf"), {"a": 1}),
        (doubling("anyOf"), {"a": 1}),
        (doubling("oneOf"), {"a": 1}),
        ({"patternProperties": {"^(a+)+$": {}, "^(a|a)*$": {}}}, {"a" * 50 + "!": 1}),
        (
            {"properties": {"a": {"items": {"pattern": "^(x+x+)+y$"}}}},
            {"a": ["x" * 60] * 500},
        ),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"n": i} for i in range(20_000)]}),
    ],
    ids=["allOf", "anyOf", "oneOf", "patternProperties", "many patterns", "uniqueItems"],
)
def test_no_schema_holds_the_process(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    started = time.process_time()
    with suppress(InvalidArguments):
        ArgumentCheck("t", schema).check(arguments)
    assert time.process_time() - started < 5


def test_items_that_are_the_same_are_found() -> None:
    schema = {"properties": {"a": {"uniqueItems": True}}}
    (problem,) = problems({"a": [{"x": 1, "y": 2}, {"y": 2, "x": 1}]}, schema)
    assert problem == ArgumentProblem("a", "has items that are the same")


def test_names_that_fit_a_pattern_are_checked() -> None:
    schema = {"patternProperties": {"^n_": {"type": "integer"}}}
    assert problems({"n_a": "x", "other": "x"}, schema) == [
        ArgumentProblem("n_a", "is string", "integer")
    ]


def test_arguments_nested_without_end_are_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    (problem,) = problems(deep, {})
    assert "nested deeper than 64" in problem.problem
