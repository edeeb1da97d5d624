"""The REST contract: both spellings in, camelCase out, and nothing unknown or unstorable let in."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.wire import FactIn, ModelIn, PageOut, SearchQuery, ServerIn, ServerOut

SHAPES = [getattr(wire, name) for name in wire.__all__]
MODELS = [
    kind
    for kind in SHAPES
    if inspect.isclass(kind) and issubclass(kind, wire.WireIn | wire.WireOut)
]


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_every_model_speaks_camel_case_and_has_good_examples(kind):
    assert kind.__doc__
    for field in kind.model_fields.values():
        assert field.alias is not None
        assert "_" not in field.alias
    extra = kind.model_config.get("json_schema_extra") or {}
    for example in extra.get("examples", []):
        kind.model_validate(example)
    expected = "forbid" if issubclass(kind, wire.WireIn) else "ignore"
    assert kind.model_config.get("extra") == expected


def test_either_spelling_comes_in_and_camel_case_goes_out():
    assert SearchQuery.parse({"query": "x", "max_tokens": 5}) == SearchQuery.parse(
        {"query": "x", "maxTokens": 5}
    )
    dumped = SearchQuery(query="x", max_tokens=5).model_dump(exclude_unset=True)
    assert dumped == {"query": "x", "maxTokens": 5}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"query": "x", "kind": "tool"}, "has no field 'kind' (did you mean 'kinds'?)"),
        ({"query": "x", "zzz": 1}, "known fields: dependencies, destructive, detail, explain"),
        ({}, "query is missing"),
        ({"query": "x", "k": 0}, "k must be greater than or equal to 1"),
        ({"query": ""}, "query is empty."),
        ({"query": []}, "query is empty."),
        ({"query": ["x", ""]}, "query.1 is empty."),
        ({"query": 5}, "query must be a valid string or a valid list"),
        ({"query": "x" * 100_001}, "query is too long: at most 100000 characters"),
        ({"query": ["x"] * 17}, "query is too long: at most 16 items"),
        ({"query": "x", "k": True}, "k must be a valid integer"),
        ("text", "it must be"),
    ],
)
def test_what_does_not_fit_is_said_by_field(given, said):
    with pytest.raises(InvalidInput) as refused:
        SearchQuery.parse(given)
    assert said in refused.value.detail


def test_a_fact_is_a_plain_value_or_one_with_its_source():
    model = ModelIn.parse(
        {"name": "m", "descriptor": {"license": "MIT", "toolCall": {"value": False, "source": "x"}}}
    )
    assert model.descriptor.license == "MIT"
    assert isinstance(model.descriptor.tool_call, FactIn)
    assert model.descriptor.tool_call.value is False


@pytest.mark.parametrize(
    "offer",
    [
        {"priceInUsd": "1"},
        {"priceInUsd": True},
        {"priceInUsd": float("inf")},
        {"toolCall": 1},
        {"contextTokens": 1.5},
        {"contextTokens": {"value": 5, "says": "me"}},
        {"apiKey": "sk-123"},
        {"apiKey": "${KEY:-sk-123}"},
        {"endpoint": "http://["},
    ],
)
def test_values_are_taken_as_what_they_are_or_not_at_all(offer):
    with pytest.raises(InvalidInput):
        ModelIn.parse({"name": "m", "offers": [{"provider": "p", **offer}]})


def test_transports_are_told_apart_by_their_type():
    def transport(**fields):
        return ServerIn.parse({"name": "s", "transport": fields}).transport

    assert isinstance(transport(type="stdio", command="x"), wire.StdioIn)
    assert isinstance(transport(type="sse", url="http://x"), wire.HttpIn)
    assert isinstance(transport(type="catalog"), wire.CatalogIn)
    for wrong in ({"type": "pigeon"}, {"type": "http", "command": "x"}, {"command": "x"}):
        with pytest.raises(InvalidInput, match="transport"):
            transport(**wrong)
    with pytest.raises(InvalidInput, match="line break"):
        transport(type="http", url="http://x", headers={"A": "b\r\nC: d"})


def test_nothing_that_answers_has_a_field_for_a_secrets_value():
    fields = wire.TransportOut.model_fields
    assert set(fields) == {"type", "command", "args", "env", "cwd", "url", "headers", "source"}
    assert "transport" in ServerOut.model_fields


def test_an_answer_of_a_later_release_can_still_be_read():
    page = PageOut[wire.SignalOut].model_validate(
        {"items": [{"rank": 1, "score": 0.5, "new": 1}], "nextCursor": None, "total": 9}
    )
    assert page.items[0].rank == 1


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda part: st.lists(part) | st.dictionaries(st.text("abc"), part),
    max_leaves=10,
)


@given(arguments=st.dictionaries(st.text("abc"), json_values))
def test_any_storable_json_is_let_in_untouched(arguments):
    assert wire.CallIn(name="t", arguments=arguments).arguments == arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": float("nan")},
        {"a": [float("-inf")]},
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": {"b": "\0"}},
    ],
)
def test_json_that_cannot_be_stored_is_refused(arguments):
    with pytest.raises(InvalidInput):
        wire.CallIn.parse({"name": "t", "arguments": arguments})
