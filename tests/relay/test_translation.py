"""What one era cannot say in the other's words is left out; everything else stays as it was."""

from typing import Any

import pytest

from toolcrib_registry.types import CatalogTransport, HttpTransport, Server, ServerName
from toolcrib_server.downstream.service import Client
from toolcrib_server.relay.servers import endpoint_of
from toolcrib_server.relay.translation import complete, greet
from toolcrib_server.upstream.connecting.era import Greeting

MODERN = Client(principal="local", version="2026-07-28")
OLD = Client(principal="local", version="2025-11-25", session="s")


@pytest.mark.parametrize("structured", [[1], "text", 7, True, None])
def test_structure_that_is_no_object_is_for_clients_that_know_it(structured):
    result = {"content": [], "structuredContent": structured, "example.org/x": 1}
    assert complete(result, "tools/call", MODERN) == {**result, "resultType": "complete"}
    old = complete(result, "tools/call", OLD)
    assert old.get("structuredContent") is None
    assert old["example.org/x"] == 1


def test_structure_that_is_an_object_is_for_all():
    result = {"content": [], "structuredContent": {"a": 1}, "resultType": "complete"}
    assert complete(result, "tools/call", OLD) == result


def test_an_output_schema_promises_old_clients_objects_alone():
    tools = [
        {"name": "a", "outputSchema": {"type": "array"}, "x": 1},
        {"name": "b", "outputSchema": {"type": "object"}},
        {"name": "c"},
    ]
    kept = complete({"tools": tools}, "tools/list", OLD)["tools"]
    assert kept == [{"name": "a", "x": 1}, *tools[1:]]
    assert complete({"tools": tools}, "tools/list", MODERN)["tools"] == tools


def test_results_of_other_kinds_keep_their_kind():
    assert complete({"resultType": "task", "task": {}}, "tools/call", OLD)["resultType"] == "task"


def test_a_modern_servers_words_about_itself_come_through():
    raw: dict[str, Any] = {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {
            "tools": {"listChanged": True},
            "extensions": {"example.org/x": {"a": 1}},
        },
        "instructions": "Ask.",
        "ttlMs": 5000,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "n"}, "example.org/y": 2},
    }
    said = greet(Greeting(protocol_version="2026-07-28", raw=raw), OLD)
    assert said["serverInfo"] == {"name": "n"}
    assert "supportedVersions" not in said
    for key in ("capabilities", "instructions", "ttlMs", "cacheScope", "_meta"):
        assert said[key] == raw[key]


def test_tasks_of_the_handshake_are_not_offered_to_who_means_others_by_them():
    raw = {"capabilities": {"completions": {}, "tasks": {"list": {}}}, "serverInfo": {"name": "n"}}
    greeting = Greeting(protocol_version="2025-11-25", raw=raw)
    assert greet(greeting, MODERN)["capabilities"] == {"completions": {}}
    assert greet(greeting, OLD)["capabilities"] == raw["capabilities"]


@pytest.mark.parametrize("said", [{}, {"listChanged": False}, {"subscribe": True}, True, None])
def test_changes_of_every_list_that_there_is_are_announced(said):
    raw = {"capabilities": {"resources": said}, "serverInfo": {"name": "n"}}
    greeting = Greeting(protocol_version="2025-11-25", raw=raw)
    for client in (MODERN, OLD):
        (offered,) = greet(greeting, client)["capabilities"].values()
        assert offered["listChanged"] is True
        assert ("subscribe" in offered) == (said == {"subscribe": True})


def test_a_server_says_where_it_is_served_and_a_catalogue_is_not():
    live = Server(name=ServerName("a.b-c"), transport=HttpTransport("http://x/mcp"))
    assert endpoint_of(live) == "/servers/a.b-c/mcp"
    paper = Server(name=ServerName("paper"), transport=CatalogTransport("tools.jsonl"))
    assert endpoint_of(paper) is None
