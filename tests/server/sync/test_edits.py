"""Two definitions, compared by path and said in sentences."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.sync.edits import MAX_EDITS, EditKind, list_edits, mark_up

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=4)


def lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [mark_up(edit) for edit in list_edits(before, after)]


def schema(**properties: Any) -> dict[str, Any]:
    return {"inputSchema": {"type": "object", "properties": properties}}


def test_a_type_that_changed_is_one_line():
    before, after = schema(limit={"type": "integer"}), schema(limit={"type": "string"})
    assert lines(before, after) == ["inputSchema.properties.limit: type integer -> string"]


def test_a_text_that_looks_like_a_number_keeps_its_quotes():
    before, after = schema(limit={"default": 10}), schema(limit={"default": "10"})
    assert lines(before, after) == ['inputSchema.properties.limit: default 10 -> "10"']


def test_an_argument_that_is_new_says_its_type_and_what_it_is():
    after = schema(path={"type": "string", "description": "Where to look"})
    assert lines(schema(), after) == ["inputSchema.properties.path: added (string: Where to look)"]
    assert lines(after, schema()) == [
        "inputSchema.properties.path: removed (string: Where to look)"
    ]


def test_what_is_required_is_a_set():
    before, after = {"required": ["a", "b"]}, {"required": ["b", "c"]}
    assert lines(before, after) == ["required: + c, - a"]
    assert lines({"required": ["a", "b"]}, {"required": ["b", "a"]}) == [
        "required: in another order"
    ]


def test_a_hint_that_was_turned_round_is_plain_to_see():
    before = {"annotations": {"readOnlyHint": True}}
    after = {"annotations": {"readOnlyHint": False, "destructiveHint": True}}
    assert lines(before, after) == [
        "annotations.destructiveHint: added (true)",
        "annotations: readOnlyHint true -> false",
    ]


def test_a_description_is_compared_by_words():
    before, after = {"description": "Get the time."}, {"description": "Get the exact time."}
    assert lines(before, after) == ["description: Get the {+exact+} time."]
    (edit,) = list_edits(before, after)
    assert edit.kind is EditKind.REWORDED
    assert lines({"description": "a b"}, {"description": "a  b"}) != []


def test_arguments_of_a_prompt_go_by_their_names():
    before = {"arguments": [{"name": "a", "required": True}, {"name": "b"}]}
    after = {"arguments": [{"name": "b"}, {"name": "a", "required": False}]}
    assert lines(before, after) == ["arguments.a: required true -> false"]


def test_what_has_no_name_goes_by_its_place():
    before, after = {"anyOf": [{"type": "a"}]}, {"anyOf": [{"type": "b"}, {"type": "c"}]}
    assert lines(before, after) == ["anyOf[0]: type a -> b", "anyOf[1]: added (c)"]


def test_one_is_not_true():
    assert lines({"x": 1}, {"x": True}) == ["x: 1 -> true"]


def test_keys_that_are_no_words_are_quoted_and_hidden_ones_are_seen():
    assert lines({}, {"a.b": 1, "c\u202ed": 2}) == [
        '["a.b"]: added (1)',
        '["c\\u{202e}d"]: added (2)',
    ]


def test_hidden_characters_never_come_through():
    before, after = {"description": "Be kind."}, {"description": "Be kind.\u202e\x1b[2J\u200b now"}
    (line,) = lines(before, after)
    assert line.isprintable()
    assert "\\u{202e}" in line


def test_what_is_looked_at_first_comes_first():
    before: dict[str, Any] = {"a": 1, "description": "x y", "title": "t", "annotations": {"k": 1}}
    after: dict[str, Any] = {"a": 2, "description": "x z", "title": "u", "annotations": {"k": 2}}
    assert [line.partition(":")[0] for line in lines(before, after)] == [
        "title", "description", "annotations", "a",
    ]  # fmt: skip


def test_a_schema_with_no_end_is_cut_and_says_so():
    before = {f"k{n}": 1 for n in range(5_000)}
    edits = list_edits(before, dict.fromkeys(before, 2))
    assert len(edits) == MAX_EDITS + 1
    assert edits[-1].kind is EditKind.MORE
    assert "more" in mark_up(edits[-1])


def test_a_schema_nested_without_end_is_compared_all_the_same():
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for value, top in ((1, before), (2, after)):
        deep = top
        for _ in range(200):
            deep["x"] = {}
            deep = deep["x"]
        deep["x"] = value
    assert len(lines(before, after)) == 1


@given(OBJECTS, OBJECTS)
def test_nothing_is_said_exactly_when_nothing_differs(before: Any, after: Any):
    differs = json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)
    edits = list_edits(before, after)
    assert bool(edits) == differs


@pytest.mark.parametrize(("before", "after"), [(None, {"a": 1}), ({"a": 1}, None), (None, None)])
def test_nothing_on_a_side_is_an_empty_object(before: Any, after: Any):
    assert len(list_edits(before, after)) == (before != after)
