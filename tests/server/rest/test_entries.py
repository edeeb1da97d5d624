"""Tools and other entries over HTTP."""

import pytest

from toolcrib_registry.types import EntryChanges, Prompt, Resource, ServerName, hash_content

pytestmark = pytest.mark.anyio

TOOL = {
    "server": "handbook",
    "name": "expense_report",
    "description": "File an expense report for a trip.",
    "inputSchema": {"type": "object", "properties": {"trip": {"type": ["string", "null"]}}},
}


async def with_catalogue(api):
    body = {"name": "handbook", "transport": {"type": "catalog"}}
    assert (await api.http.post("/api/v1/servers", json=body)).status_code == 201


async def test_a_tool_added_to_a_catalogue_is_found_at_once_and_gone_when_removed(api):
    await with_catalogue(api)
    made = await api.http.post("/api/v1/tools", json=TOOL)
    assert made.status_code == 201
    assert made.json()["name"] == "handbook__expense_report"
    assert made.json()["inputSchema"] == TOOL["inputSchema"]
    read = await api.http.get(made.headers["location"])
    assert read.json() == made.json()

    found = await api.http.post("/api/v1/search", json={"query": "expense report"})
    assert [hit["name"] for hit in found.json()["hits"]] == ["handbook__expense_report"]

    assert (await api.http.delete(made.headers["location"])).status_code == 204
    found = await api.http.post("/api/v1/search", json={"query": "expense report"})
    assert found.json()["hits"] == []


async def test_a_tool_cannot_be_added_twice(api):
    await with_catalogue(api)
    await api.http.post("/api/v1/tools", json=TOOL)
    assert (await api.http.post("/api/v1/tools", json=TOOL)).status_code == 409


async def test_what_is_declared_of_a_tool_is_kept_where_search_reads_it(api):
    await with_catalogue(api)
    declared = {
        "title": "Expenses",
        "tags": ["finance"],
        "dependsOn": ["trip"],
        "questions": ["Who files the expense report?"],
    }
    made = (await api.http.post("/api/v1/tools", json={**TOOL, **declared})).json()
    assert (made["title"], made["tags"]) == ("Expenses", ["finance"])
    assert made["definition"]["_meta"] == {
        "io.toolcrib/tags": ["finance"],
        "io.toolcrib/dependsOn": ["trip"],
        "io.toolcrib/exampleQuestions": ["Who files the expense report?"],
    }
    search = {"query": "expense report", "tags": ["finance"]}
    found = (await api.http.post("/api/v1/search", json=search)).json()
    assert [hit["name"] for hit in found["hits"]] == ["handbook__expense_report"]
    wrong = await api.http.post("/api/v1/tools", json={**TOOL, "questions": ["x" * 301]})
    assert wrong.status_code == 400
    assert "questions.0: is too long: at most 300 characters" in wrong.json()["detail"]


async def test_tools_of_a_live_server_cannot_be_edited_and_the_answer_says_what_to_do(api):
    api.add_tools("live", "ping", catalog=False)
    added = await api.http.post("/api/v1/tools", json={**TOOL, "server": "live"})
    assert added.status_code == 403
    assert "catalog" in added.json()["detail"]
    removed = await api.http.delete("/api/v1/tools/live__ping")
    assert removed.status_code == 403
    assert "Switch it off" in removed.json()["detail"]
    assert (await api.http.get("/api/v1/tools/live__ping")).status_code == 200


async def test_a_tool_switched_off_is_not_found_and_on_again_it_is(api):
    api.add_tools("desk", "stapler")
    off = await api.http.post("/api/v1/tools/desk__stapler/disable")
    assert off.json()["enabled"] is False
    found = await api.http.get("/api/v1/search", params={"query": "stapler"})
    assert found.json()["hits"] == []
    await api.http.post("/api/v1/tools/desk__stapler/enable")
    found = await api.http.get("/api/v1/search", params={"query": "stapler"})
    assert len(found.json()["hits"]) == 1


async def test_tools_are_filtered_by_server_and_text_and_paged(api):
    api.add_tools("desk", "stapler", "lamp", "ruler")
    api.add_tools("shed", "hammer")
    of_desk = (await api.http.get("/api/v1/tools", params={"server": "desk"})).json()
    assert [t["localName"] for t in of_desk["items"]] == ["lamp", "ruler", "stapler"]
    with_text = (await api.http.get("/api/v1/tools", params={"text": "LAMP"})).json()
    assert [t["localName"] for t in with_text["items"]] == ["lamp"]
    first = (await api.http.get("/api/v1/tools", params={"limit": 3})).json()
    rest = await api.http.get("/api/v1/tools", params={"cursor": first["nextCursor"]})
    assert [t["localName"] for t in rest.json()["items"]] == ["hammer"]
    assert rest.json()["nextCursor"] is None


async def test_an_unknown_tool_comes_with_near_names(api):
    api.add_tools("desk", "stapler")
    answer = await api.http.get("/api/v1/tools/desk__staplr")
    assert answer.status_code == 404
    assert answer.json()["data"]["near"] == ["desk__stapler"]


async def test_a_made_up_cursor_is_refused(api):
    answer = await api.http.get("/api/v1/tools", params={"cursor": "made-up"})
    assert answer.status_code == 400


async def test_prompts_and_resources_are_read_by_kind(api):
    api.add_tools("desk", "stapler")
    name = ServerName("desk")
    prompt = {"name": "greet", "description": "Greet."}
    page = {"uri": "file:///a/b.txt", "name": "page"}
    entries = (
        Prompt(
            name="desk__greet",
            server=name,
            local_name="greet",
            definition=prompt,
            content_hash=hash_content(prompt),
        ),
        Resource(
            name="desk__file:/a",
            server=name,
            local_name=page["uri"],
            definition=page,
            content_hash=hash_content(page),
        ),
    )
    api.deps.store.apply(EntryChanges(server=name, upserts=entries), actor="test")
    prompts = (await api.http.get("/api/v1/entries", params={"kind": "prompt"})).json()["items"]
    assert [p["name"] for p in prompts] == ["desk__greet"]
    everything = (await api.http.get("/api/v1/entries")).json()["items"]
    assert {e["kind"] for e in everything} == {"prompt", "resource", "tool"}
    one = await api.http.get("/api/v1/entries/resource/desk__file:/a")
    assert one.json()["definition"] == page
    assert (await api.http.get("/api/v1/entries/nonsense/x")).status_code == 400
