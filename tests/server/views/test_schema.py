"""A schema without some parameters stays a schema, and asks for nothing that is withheld."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolcrib_server.views.schema import without

TEXT = {"type": "string"}


def check(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_a_withheld_parameter_is_neither_shown_nor_required() -> None:
    schema = {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]}

    assert without(schema, {"a"}) == {
        "type": "object",
        "properties": {"b": TEXT},
        "required": ["b"],
    }
    assert without(schema, {"a", "b"}) == {"type": "object", "properties": {}}


def test_an_optional_parameter_stays_without_its_default() -> None:
    schema = {"properties": {"a": {**TEXT, "default": "x"}, "b": TEXT}, "required": ["a", "b"]}

    reduced = without(schema, (), optional={"a"})

    assert reduced == {"properties": {"a": TEXT, "b": TEXT}, "required": ["b"]}


def test_the_schema_that_was_given_is_not_touched() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/properties/a"}},
        "required": ["a"],
        "$defs": {"A": TEXT},
    }
    before = copy.deepcopy(schema)

    without(schema, {"a"})

    assert schema == before


def test_definitions_are_kept_where_they_are_needed_and_dropped_where_not() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/B"}},
        "$defs": {"A": {"$ref": "#/$defs/Deep"}, "Deep": TEXT, "B": {"$ref": "#/$defs/Under"}}
        | {"Under": {"type": "integer"}},
    }

    reduced = without(schema, {"a"})

    assert set(reduced["$defs"]) == {"B", "Under"}
    assert not check(reduced).is_valid({"b": "x"})
    assert set(without(schema, {"b"})["$defs"]) == {"A", "Deep"}


def test_definitions_that_are_named_by_anchors_are_all_kept() -> None:
    schema = {
        "properties": {"a": TEXT, "b": {"$ref": "#here"}},
        "$defs": {"B": {"$anchor": "here", "type": "integer"}},
    }

    assert not check(without(schema, {"a"})).is_valid({"b": "x"})


def test_what_refers_to_a_withheld_parameter_still_finds_it() -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#/properties/a"}}}
    schema = {"properties": {"a": node, "b": {"$ref": "#/properties/a"}}}

    reduced = without(schema, {"a"})

    assert "a" not in reduced["properties"]
    assert check(reduced).is_valid({"b": {"child": {"child": {}}}})
    assert not check(reduced).is_valid({"b": {"child": {"child": 1}}})


def test_parameters_behind_a_reference_are_taken_out_too() -> None:
    schema = {
        "$ref": "#/$defs/Args",
        "$defs": {
            "Args": {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a"]}
        },
    }

    assert without(schema, {"a"}) == {"type": "object", "properties": {"b": TEXT}}


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {
        "properties": {"a": TEXT, "next": {"$ref": "#"}},
        "allOf": [{"$ref": "#/$defs/Loop"}],
        "$defs": {"Loop": {"allOf": [{"$ref": "#/$defs/Loop"}], "required": ["a"]}},
    }

    reduced = without(schema, {"a"})

    assert "a" not in reduced["properties"]
    Draft202012Validator.check_schema(reduced)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"oneOf": [{"required": ["a", "b"]}, {"required": ["b", "c"]}]},
        {"allOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"not": {"required": ["a"]}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}},
        {"if": {"required": ["b"]}, "then": {"required": ["a"]}},
        {"dependentRequired": {"b": ["a"], "a": ["c"]}},
        {"dependentSchemas": {"b": {"required": ["a"]}, "a": {"required": ["c"]}}},
        {"dependencies": {"b": ["a"], "a": {"required": ["c"]}}},
        {"minProperties": 2},
        {"unevaluatedProperties": False},
        {"additionalProperties": False},
    ],
)
def test_what_is_demanded_of_a_withheld_parameter_is_not_demanded_of_the_caller(
    schema: dict[str, Any],
) -> None:
    properties = dict.fromkeys(("a", "b", "c"), TEXT)
    whole = {"type": "object", "properties": properties, **schema}
    validator = Draft202012Validator(whole)

    reduced = without(whole, {"a"})
    shown = check(reduced)

    assert '"a"' not in json.dumps(reduced)
    # Whatever the tool takes with some value of `a`, or none, the caller may say the rest of.
    for rest in ({}, {"b": "x"}, {"c": "x"}, {"b": "x", "c": "x"}):
        if validator.is_valid({**rest, "a": "x"}) or validator.is_valid(rest):
            assert shown.is_valid(rest), rest


def test_examples_do_not_tell_what_is_withheld() -> None:
    schema = {
        "properties": {"a": TEXT, "b": TEXT},
        "default": {"a": "secret", "b": "x"},
        "examples": [{"a": "secret", "b": "y"}],
    }

    reduced = without(schema, {"a"})

    assert "secret" not in str(reduced)
    assert reduced["examples"] == [{"b": "y"}]


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.sampled_from([{}, True, False, TEXT, {"type": "integer"}, {"$ref": "#/$defs/D"}])


def levels(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, LEAVES, max_size=3),
            "required": st.lists(NAMES, unique=True, max_size=3),
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "dependentRequired": st.dictionaries(
                NAMES, st.lists(NAMES, unique=True, max_size=2), max_size=2
            ),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
            "minProperties": st.integers(0, 2),
        },
    )


SCHEMAS = st.recursive(LEAVES, levels, max_leaves=6).filter(lambda s: isinstance(s, dict))


@given(
    SCHEMAS, levels(LEAVES), st.sets(NAMES), st.sets(NAMES), st.dictionaries(NAMES, st.just("x"))
)
def test_what_a_tool_takes_a_caller_may_ask_for(
    schema: dict[str, Any],
    referred: dict[str, Any],
    withheld: set[str],
    optional: set[str],
    arguments: dict[str, str],
) -> None:
    # One level of reference is enough: a schema that never ends is another matter.
    plain = {k: v for k, v in referred.items() if "$ref" not in str(v)}
    whole = {**schema, "$defs": {"D": plain}}
    shown = without(whole, withheld, optional=optional)

    Draft202012Validator.check_schema(shown)
    if Draft202012Validator(whole).is_valid(arguments):
        said = {name: value for name, value in arguments.items() if name not in withheld}
        assert Draft202012Validator(shown).is_valid(said)
