"""One tool as a view has it: what is shown, what is sent, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolcrib_registry.errors import InvalidArguments
from toolcrib_registry.types import Mark, MarkReason, ToolOverride
from toolcrib_server.views.overlay import find_misfits, sent_arguments, shown_definition

from .conftest import Schema, tool

TEXT = {"type": "string"}
SCHEMA = {
    "type": "object",
    "properties": {
        "q": TEXT,
        "limit": {"type": "integer", "minimum": 1, "default": 10},
        "key": TEXT,
        "mode": {"$ref": "#/$defs/Mode"},
    },
    "required": ["q", "key"],
    "additionalProperties": False,
    "$defs": {"Mode": {"enum": ["fast", "slow"]}},
}
FIND = tool(
    "s",
    "find",
    SCHEMA,
    description="Find.",
    annotations={"readOnlyHint": True},
    _meta={"x": 1},
    icons=[{"src": "data:,"}],
)
OVERRIDE = ToolOverride(
    tool="s__find",
    name="search",
    title="Search",
    description="Search it.",
    defaults={"limit": 3},
    fixed={"key": "k"},
    hidden=("mode",),
)


def test_a_tool_is_shown_as_the_view_has_it_and_otherwise_as_it_was() -> None:
    shown = shown_definition(FIND, OVERRIDE)

    assert (shown["name"], shown["title"], shown["description"]) == (
        "search",
        "Search",
        "Search it.",
    )
    assert shown["inputSchema"] == {
        "type": "object",
        "properties": {"q": TEXT, "limit": {"type": "integer", "minimum": 1}},
        "required": ["q"],
        "additionalProperties": False,
    }
    untouched = {"annotations", "_meta", "icons"}
    assert {k: shown[k] for k in untouched} == {k: FIND.definition[k] for k in untouched}
    assert shown_definition(FIND) == {**FIND.definition, "name": "s__find"}


def test_a_description_may_be_taken_away() -> None:
    assert shown_definition(FIND, ToolOverride(tool="s__find", description=""))["description"] == ""


def test_what_cannot_be_seen_is_taken_out_of_a_tool_that_is_marked_for_it() -> None:
    hidden = tool("s", "t", {"properties": {"a": {"description": "x\u202ey"}}}, title="t\u200bt")
    marked = replace(hidden, marks=(Mark(MarkReason.HIDDEN_TEXT, "x"),))

    assert shown_definition(hidden)["title"] == "t\u200bt"
    shown = shown_definition(marked)
    assert shown["title"] == "tt"
    assert shown["inputSchema"]["properties"]["a"]["description"] == "xy"


def test_arguments_are_completed_and_the_callers_go_before_defaults() -> None:
    assert sent_arguments(OVERRIDE, {"q": "x"}) == {"q": "x", "limit": 3, "key": "k"}
    assert sent_arguments(OVERRIDE, {"q": "x", "limit": 9}) == {"q": "x", "limit": 9, "key": "k"}
    assert sent_arguments(None, {"q": "x"}) == {"q": "x"}


@pytest.mark.parametrize("name", ["key", "mode"])
def test_what_is_withheld_cannot_be_given(name: str) -> None:
    with pytest.raises(InvalidArguments) as raised:
        sent_arguments(OVERRIDE, {"q": "x", name: "fast"})

    assert raised.value.detail == (
        f"Arguments for search do not fit: {name}: is no parameter of this tool here"
    )


def test_an_override_that_fits_has_no_misfit() -> None:
    assert find_misfits(FIND, OVERRIDE) == ()
    assert find_misfits(FIND, ToolOverride(tool="s__find")) == ()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (ToolOverride(tool="s__find", hidden=("key",)), "'key' is hidden, and the tool requires"),
        (ToolOverride(tool="s__find", hidden=("nokey",)), "it has no parameter 'nokey'; those"),
        (ToolOverride(tool="s__find", defaults={"lim": 1}), "no parameter 'lim'; those that it"),
        (ToolOverride(tool="s__find", defaults={"limit": "3"}), "defaults.limit is string"),
        (ToolOverride(tool="s__find", defaults={"limit": 0}), "defaults.limit 0 is less than"),
        (ToolOverride(tool="s__find", fixed={"mode": "quick"}), "fixed.mode is 'quick' (expected"),
        (
            ToolOverride(tool="s__find", defaults={"limit": 1}, fixed={"limit": 2}),
            "'limit' stands under both defaults and fixed",
        ),
    ],
)
def test_what_does_not_fit_is_named(override: ToolOverride, said: str) -> None:
    (misfit,) = find_misfits(FIND, override)

    assert misfit.startswith("s__find: ")
    assert said in misfit


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": TEXT}, "required": ["a"]}}},
        {"allOf": [{"properties": {"a": TEXT}}, {"required": ["a"]}]},
    ],
)
def test_parameters_are_found_wherever_the_schema_says_them(schema: Schema) -> None:
    one = tool("s", "t", schema)

    assert find_misfits(one, ToolOverride(tool="s__t", fixed={"a": "x"})) == ()
    (misfit,) = find_misfits(one, ToolOverride(tool="s__t", fixed={"a": 1}))
    assert "fixed.a is integer (expected string)" in misfit
    (misfit,) = find_misfits(one, ToolOverride(tool="s__t", hidden=("a",)))
    assert "the tool requires it" in misfit


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {"a": TEXT}, "additionalProperties": {"type": "integer"}}]
)
def test_a_tool_that_takes_anything_may_be_given_anything(schema: Schema) -> None:
    assert find_misfits(tool("s", "t", schema), ToolOverride(tool="s__t", fixed={"b": 1})) == ()
