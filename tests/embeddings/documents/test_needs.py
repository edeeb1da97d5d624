"""What is read off one tool: what it asks for that is hard to know, and what it gives."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.documents.needs import (
    NO_FACTS,
    Facts,
    entity_of,
    name_parts,
    plain_words,
    read_facts,
)


def takes(description: str = "", /, **properties: Any) -> dict[str, Any]:
    return {
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": {name: said or {"type": "string"} for name, said in properties.items()},
            "required": list(properties),
        },
    }


def facts(name: str, definition: dict[str, Any]) -> Facts:
    return read_facts(name, definition.get("description", ""), definition)


def test_handles_are_wanted_and_what_a_person_says_is_not() -> None:
    read = facts("close_issue", takes(issueKey={}, reason={}, city={}, api_key={}))
    assert [(want.name, want.words) for want in read.wants] == [("issueKey", "issue key")]
    assert read.asks == ("issue key", "reason", "city", "api key")


def test_what_may_be_left_out_or_chosen_is_not_wanted() -> None:
    schema = takes(user_id={"type": "string", "default": "me"}, list_id={"enum": ["a", "b"]})
    schema["inputSchema"]["properties"]["team_id"] = {"type": "string"}
    assert facts("add", schema).wants == ()


def test_a_mere_id_is_of_what_the_tool_is_about() -> None:
    (want,) = facts("getPullRequestsByAuthor", takes(id={})).wants
    assert want.words == "pull request id"
    assert facts("frobnicate", takes(id={})).wants == ()


@pytest.mark.parametrize(
    ("said", "spoken"),
    [
        ("Session ID from southwest_user_login.", ("southwest_user_login",)),
        ("The ID returned by `createIssue`", ("createIssue",)),
        ("Get it using the list-projects tool.", ("list-projects",)),
        ("Not from create_issue but your own", ()),
        ("A name, such as one from list_users", ()),
        ("Use list_users instead", ()),
        ("From the list of users", ()),
    ],
)
def test_a_description_may_name_where_a_parameter_comes_from(
    said: str, spoken: tuple[str, ...]
) -> None:
    found = facts("do", takes(it={"type": "string", "description": said})).wants
    assert tuple(name for want in found for name in want.spoken) == spoken


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ("Buys a ticket. Call open_session first.", ("open_session",)),
        ("Buys a ticket with the id obtained from search_trips.", ("search_trips",)),
        ("Runs after calling `start_job`.", ("start_job",)),
        ("Call this before buy_ticket.", ()),
        ("Buys a ticket; use buy_bundle for several.", ()),
        ("Unlike what is returned by buy_one this is free.", ()),
    ],
)
def test_a_description_may_say_what_comes_first(said: str, after: tuple[str, ...]) -> None:
    assert facts("buy", takes(said, trip={})).after == after


def test_an_output_is_told_by_what_it_holds() -> None:
    output = {
        "properties": {
            "users": {"type": "array", "items": {"properties": {"id": {}, "teamId": {}}}},
            "next": {"type": "string"},
        }
    }
    assert facts("find", {"outputSchema": output}).makes == ("user id", "team id")


def test_names_come_apart_into_verb_and_noun() -> None:
    assert name_parts("slack_list_all_channels_in_team")[:2] == ("list", ("channel",))
    assert name_parts("getUserByEmail").noun == ("user",)
    assert name_parts("weather") == ("", (), ())
    assert entity_of(plain_words("parentPageIds")) == ("page",)
    assert entity_of(plain_words("zip_code")) == ()
    assert entity_of(plain_words("client_id")) == ()


def test_facts_come_back_from_json() -> None:
    read = facts("buy", takes("Call open_it first.", trip_id={"description": "From find_trip."}))
    assert Facts.load(json.loads(json.dumps(read))) == read
    assert Facts.load(json.loads(json.dumps(NO_FACTS))) == NO_FACTS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(
    name=st.text(max_size=40),
    definition=st.dictionaries(
        st.sampled_from(["inputSchema", "outputSchema", "description", "annotations"]),
        JSON,
    ),
)
def test_any_json_is_read_without_failing(name: str, definition: dict[str, Any]) -> None:
    read_facts(name, "", definition)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"id": {}, "users": schema}, "required": ["id"]}
    return schema


def test_hostile_schemas_are_bounded() -> None:
    cyclic: dict[str, Any] = {"required": ["user_id"] * 100_000}
    cyclic["properties"] = {"user_id": cyclic, "x" * 100_000: cyclic}
    names = [f"thing_{n}_id" for n in range(100_000)]
    wide = {"properties": dict.fromkeys(names, cyclic), "required": names}
    began = time.process_time()
    for schema in (cyclic, wide, deep(5_000)):
        read = read_facts(
            "a" * 100_000,
            "from " * 100_000,
            {
                "inputSchema": schema,
                "outputSchema": schema,
            },
        )
        assert len(read.wants) <= 8
        assert len(read.makes) <= 32
        assert len(json.dumps(read)) < 20_000
    assert time.process_time() - began < 2
