"""An entry in brief holds what an answer shows, and no more."""

from datetime import date

from toolcrib_registry.types import EntryKind, Known, Model, ModelDescriptor, Prompt, ServerName
from toolcrib_server.selection.brief import brief_of, shorten, signature_of

from .conftest import make_tool


def test_a_long_description_is_cut_to_one_line():
    brief = brief_of(make_tool("clock", "now", description="word \n" * 500))
    assert len(brief.description) == 300
    assert brief.description.endswith("…")
    assert "\n" not in brief.description
    assert shorten("a  b\n") == "a b"


def test_optional_arguments_are_marked_and_odd_schemas_survive():
    schema = {
        "properties": {
            "a": {"type": "string"},
            "b": {"type": ["integer", "null"]},
            "c": {"enum": ["x", 2]},
            "d": True,
            "e": {},
        },
        "required": ["a"],
    }
    assert signature_of(schema) == {
        "a": "string",
        "b": "integer|null?",
        "c": '"x"|2?',
        "d": "any?",
        "e": "any?",
    }
    assert signature_of({"properties": ["not", "an", "object"], "required": 3}) == {}


def test_a_tool_that_takes_nothing_has_arguments_and_a_prompt_has_none():
    assert brief_of(make_tool("clock", "now")).arguments == {}
    prompt = Prompt(name="a__b", server=ServerName("a"), local_name="b", definition={})
    assert brief_of(prompt).arguments is None


def test_of_a_model_what_is_known_is_kept():
    descriptor = ModelDescriptor(context_tokens=Known(100, "card", date(2026, 1, 1)))
    brief = brief_of(Model(name="acme/m", family="m", descriptor=descriptor))
    assert (brief.kind, brief.server, brief.family) == (EntryKind.MODEL, None, "m")
    assert brief.capabilities == {"context_tokens": 100}


def test_it_is_small():
    import sys

    properties = {f"p{i}": {"type": "string", "description": "x" * 500} for i in range(20)}
    schema = {"type": "object", "properties": properties}
    brief = brief_of(make_tool("clock", "now", description="word " * 100, inputSchema=schema))
    parts = [brief, brief.id, brief.name, brief.description, brief.arguments]
    assert sum(map(sys.getsizeof, parts)) < 2_500
