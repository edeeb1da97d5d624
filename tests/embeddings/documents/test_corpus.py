"""Entries become text that names what they are for, whatever JSON their owner listed."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.documents.corpus import (
    MAX_TERMS_CHARS,
    MAX_TEXT_CHARS,
    Component,
    render_document,
)
from toolcrib_embeddings.documents.words import split_words
from toolcrib_registry.types import (
    QUESTIONS_KEY,
    EntryKind,
    Known,
    Model,
    ModelDescriptor,
    Offer,
    Prompt,
    Resource,
    ServerName,
    Tool,
)


def _tool(definition: Any = None, **changes: Any) -> Tool:
    tool = Tool(
        name="time__convertTime",
        server=ServerName("time"),
        local_name="convertTime",
        description="Convert a time between zones.",
        definition=definition or {},
    )
    return replace(tool, **changes)


def test_a_tool_is_told_by_server_name_title_description_and_parameters():
    document = render_document(
        _tool(
            {
                "inputSchema": {
                    "properties": {
                        "sourceTimezone": {"description": "IANA zone", "enum": ["UTC", "CET"]},
                        "when": {"type": "object", "properties": {"hour_of_day": {}}},
                        "stops": {"items": {"properties": {"city": {}}}},
                    }
                }
            },
            title="Time Converter",
        )
    )
    for words in (
        "time",
        "convert Time",
        "Time Converter",
        "Convert a time between zones",
        "source Timezone IANA zone UTC CET",
        "hour of day",
        "city",
    ):
        assert words in document.text
        assert words in document.terms
    assert (document.id, document.kind, document.server) == (
        "tool:time__convertTime",
        EntryKind.TOOL,
        "time",
    )


def test_a_prompt_is_told_by_its_arguments():
    prompt = Prompt(
        name="p",
        server=ServerName("git"),
        local_name="write_commit",
        description="Draft a commit message",
        definition={"arguments": [{"name": "diff", "description": "staged changes"}, "junk"]},
    )
    text = render_document(prompt).text
    assert "write commit" in text
    assert "diff staged changes" in text


def test_a_resource_is_told_by_its_address_and_type():
    resource = Resource(
        name="r",
        server=ServerName("docs"),
        local_name="file:///guide/start.md",
        definition={"uri": "file:///guide/start.md", "mimeType": "text/markdown"},
    )
    text = render_document(resource).text
    assert "guide start md" in text
    assert "text/markdown" in text


def test_a_model_is_told_by_what_it_can_do_and_who_serves_it():
    def known(value: Any) -> Any:
        return Known(value, "card", date(2026, 1, 1))

    model = Model(
        name="acme/seer-7B",
        family="seer",
        description="A small model that reads charts",
        descriptor=ModelDescriptor(
            license=known("apache-2.0"),
            modalities_in=known(("text", "image")),
            tool_call=known(True),
            reasoning=known(False),
            languages=known(("de", "fr")),
        ),
        offers=(Offer(provider="cloudy", remote_model="s7"),) * 2,
    )
    document = render_document(model)
    for words in (
        "acme seer 7 B",
        "family seer",
        "reads charts",
        "licence apache-2.0",
        "takes text image",
        "tool calling",
        "languages de fr",
        "served by cloudy",
    ):
        assert words in document.text
    assert "reasoning" not in document.text
    assert document.text.count("cloudy") == 1
    assert document.server is None


def test_the_hash_follows_the_text_alone():
    plain = render_document(_tool())
    tagged = render_document(_tool(tags=("clock",)))
    renamed = render_document(_tool(name="other"))
    assert plain.text_hash == renamed.text_hash != tagged.text_hash


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("getHTTPServer2Config", ["get", "HTTP", "Server", "2", "Config"]),
        ("list_all-files.v3", ["list", "all", "files", "v", "3"]),
        ("__--__", []),
        ("größeÄndern", ["größeÄndern"]),
        ("東京_天気", ["東京", "天気"]),
    ],
)
def test_identifiers_are_split_into_words(name: str, words: list[str]):
    assert split_words(name) == words


def test_a_huge_description_is_cut_and_quick():
    document = render_document(_tool(description="all work and no play " * 50_000))
    assert len(document.text) <= MAX_TEXT_CHARS
    assert len(document.terms) <= MAX_TERMS_CHARS


def test_a_huge_schema_is_cut():
    properties = {f"parameter{n}": {"description": "d" * 100_000} for n in range(5_000)}
    document = render_document(_tool({"inputSchema": {"properties": properties}}))
    assert len(document.terms) <= MAX_TERMS_CHARS


def test_a_schema_that_contains_itself_ends():
    schema: dict[str, Any] = {"properties": {}}
    schema["properties"]["again"] = schema
    assert "again" in render_document(_tool({"inputSchema": schema})).text


_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["properties", "items", "enum", "description", "name"]) | _ANY_TEXT,
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=150)
@given(schema=_ANY_JSON, description=_ANY_JSON, name=_ANY_TEXT, arguments=_ANY_JSON)
def test_any_json_gives_bounded_text_that_can_be_stored(
    schema: Any, description: Any, name: str, arguments: Any
):
    tool = _tool({"inputSchema": schema}, description=description, local_name=name, title=name)
    prompt = Prompt(
        name="p",
        server=ServerName(name),
        local_name=name,
        description=description,
        definition={"arguments": arguments, "mimeType": schema},
    )
    for entry in (tool, prompt):
        document = render_document(entry)
        assert len(document.text.encode("utf-8")) <= 4 * MAX_TEXT_CHARS
        assert "\0" not in document.text + document.terms
        assert len(document.text_hash) == 64


def test_written_questions_are_a_part_of_their_own_and_count_as_words():
    document = render_document(_tool(), written=["When is noon in Tokyo?", "x" * 999])
    written = document.components[Component.WRITTEN]
    assert written.startswith("When is noon in Tokyo?. xxx")
    assert "noon in Tokyo" in document.terms
    assert "noon in Tokyo" not in document.text
    assert Component.QUESTIONS not in document.components
    assert Component.TEMPLATES not in document.components


def test_declared_questions_win_over_written_ones():
    declared = {"_meta": {QUESTIONS_KEY: ["What time is it?"]}}
    document = render_document(_tool(declared), written=["When is noon in Tokyo?"])
    assert document.components[Component.QUESTIONS] == "What time is it?"
    assert Component.WRITTEN not in document.components
    assert "noon" not in document.terms


def test_templates_stand_where_there_are_no_questions_and_are_no_words():
    document = render_document(_tool())
    assert "I need to convert a time between zones" in document.components[Component.TEMPLATES]
    assert "I need to" not in document.terms
