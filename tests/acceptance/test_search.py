"""One search on every face: what is asked, what is shown, and what is refused with what to do."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import pytest
from mcp import Client

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    Server,
    ServerName,
    Tool,
    hash_content,
)
from toolcrib_server.selection.tokens import TokenCounter

from .conftest import House, OpenHouse, Toolcrib

pytestmark = pytest.mark.anyio

READS = {"readOnlyHint": True}
SAFE = {"readOnlyHint": False, "destructiveHint": False}
FORCEFUL = {"readOnlyHint": False, "destructiveHint": True}
ROWS: list[dict[str, Any]] = [
    {"server": "files", "name": "read_file", "description": "Read a file.", "annotations": READS},
    {"server": "files", "name": "write_file", "description": "Write a file.", "annotations": SAFE},
    {
        "server": "files",
        "name": "delete_file",
        "description": "Delete a file.",
        "annotations": FORCEFUL,
        "tags": ("Disk & Files",),
    },
    {"server": "mail", "name": "send_letter", "description": "Send a letter to somebody."},
    {"server": "travel", "name": "find_flight", "description": "Find a flight to a city."},
]


def tool(row: dict[str, Any]) -> Tool:
    keys = ("name", "description", "annotations")
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    definition = {key: row[key] for key in keys if key in row} | {"inputSchema": schema}
    return Tool(
        name=f"{row['server']}__{row['name']}",
        description=row["description"],
        server=ServerName(row["server"]),
        local_name=row["name"],
        definition=definition,
        content_hash=hash_content(definition),
        tags=row.get("tags", ()),
    )


@asynccontextmanager
async def furnished(open_house: OpenHouse) -> AsyncGenerator[House]:
    """Open a house with a few tools in it; the server ``mail`` has a tag."""
    async with open_house() as house:
        store = house.runtime.store
        for name in dict.fromkeys(row["server"] for row in ROWS):
            tags = ("post",) if name == "mail" else ()
            catalogue = CatalogTransport("tests")
            server = Server(name=ServerName(name), transport=catalogue, tags=tags)
            store.add_server(server, actor="test")
            upserts = tuple(tool(row) for row in ROWS if row["server"] == name)
            store.apply(EntryChanges(server=ServerName(name), upserts=upserts), actor="test")
        await house.runtime.indexer.catch_up()
        yield house


async def search(client: Any, query: Any, **arguments: Any) -> tuple[dict[str, Any], str]:
    """Ask over MCP; return both forms of the answer."""
    result = await client.call_tool("search_tools", {"query": query, **arguments})
    text = "\n".join(block.text for block in result.content)
    assert not result.is_error, text
    return result.structured_content, text


def names(view: dict[str, Any]) -> list[str]:
    return [result["name"] for result in view["results"]]


async def test_a_list_of_steps_is_one_question(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        view, _ = await search(client, ["find a flight", "", "send a letter"], k=5)
        assert {"travel__find_flight", "mail__send_letter"} <= set(names(view))
        # As models write lists at times.
        as_text, _ = await search(client, '["find a flight", "send a letter"]', k=5)
        assert names(as_text) == names(view)
        body = {"query": ["find a flight", "send a letter"]}
        by_rest = (await house.http.post("/api/v1/search", json=body)).json()
        assert by_rest["query"] == body["query"]
        assert [hit["name"] for hit in by_rest["hits"]] == names(view)
        params = tuple(("query", step) for step in body["query"])
        assert (await house.http.get("/api/v1/search", params=params)).json() == by_rest


async def test_the_same_question_is_answered_in_the_same_bytes(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        asked = {"k": 5, "explain": True, "group_by": "server", "max_tokens": 2_000}
        first = await search(client, "read a file", **asked)
        house.runtime.selector._answers.clear()
        assert json.dumps(await search(client, "read a file", **asked)) == json.dumps(first)


@pytest.mark.parametrize("detail", ["name", "brief", "full"])
async def test_an_answer_keeps_within_its_tokens(open_house: OpenHouse, detail: str) -> None:
    count = TokenCounter()
    async with furnished(open_house) as house, Client(house.mcp) as client:
        for budget in (50, 90, 200, 400):
            asked = {"detail": detail, "max_tokens": budget, "k": 50}
            view, text = await search(client, "a file", **asked)
            assert count(text) <= budget
            assert count(json.dumps(view, ensure_ascii=False)) <= budget
            if "omitted" in view:
                assert f"{view['omitted']} left out to keep within max_tokens={budget}" in text


async def test_an_explained_answer_says_why_and_a_grouped_one_where(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        view, text = await search(client, "read a file", explain=True, group_by="server")
        assert "why: dense #1" in text
        assert text.splitlines()[0].endswith("files:")
        assert view["groups"][0]["server"] == "files"
        assert set(view["groups"][0]["names"]) <= set(names(view))
        body = {"query": "read a file", "explain": True, "groupBy": "server"}
        by_rest = (await house.http.post("/api/v1/search", json=body)).json()
        assert by_rest["groups"] == view["groups"]
        plain = (await house.http.post("/api/v1/search", json={"query": "read a file"})).json()
        assert plain["groups"] is None
        assert set(plain["hits"][0]["signals"]) <= {"dense", "lexical"}
        assert plain["tookMs"] > 0


async def test_a_tag_of_a_server_narrows_the_search(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        view, _ = await search(client, "read a file", tags=["post"])
        assert names(view) == ["mail__send_letter"]
        params = {"query": "read a file", "tag": "post"}
        by_rest = (await house.http.get("/api/v1/search", params=params)).json()
        assert [hit["name"] for hit in by_rest["hits"]] == ["mail__send_letter"]


async def test_what_tools_say_of_themselves_narrows_the_search(open_house: OpenHouse) -> None:
    # Of the letter and the flight nothing is known: silence never passes a filter.
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"readOnly": True}, {"files__read_file"}),
        ({"destructive": False}, {"files__read_file", "files__write_file"}),
        ({"tags": ["Disk & Files"]}, {"files__delete_file"}),
        ({"tags": ["Disk & Files"], "destructive": False}, set()),
        ({"kind": "prompt"}, set()),
        ({"tags": ["post"], "server": "files"}, set()),
    ]
    async with furnished(open_house) as house, Client(house.mcp) as client:
        for given, expected in cases:
            view, text = await search(client, "do it to a file", **given)
            assert set(names(view)) == expected, given
            assert expected or "passes the filters" in text
            body: dict[str, Any] = {"query": "do it to a file", **given}
            for one, many in (("kind", "kinds"), ("server", "servers")):
                if one in body:
                    body[many] = [body.pop(one)]
            by_rest = (await house.http.post("/api/v1/search", json=body)).json()
            assert {hit["name"] for hit in by_rest["hits"]} == expected
        for given in ({"readOnly": False}, {"destructive": True}):
            view, _ = await search(client, "do it to a file", **given)
            assert len(names(view)) == len(ROWS), given


async def test_a_tag_that_nothing_has_is_refused_with_near_ones(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        asked = {"query": "a file", "tags": ["disk & file"]}
        result = await client.call_tool("search_tools", asked)
        assert result.is_error
        assert "Did you mean: Disk & Files" in str(result.content)
        params = {"query": "a file", "tag": "pots"}
        by_rest = await house.http.get("/api/v1/search", params=params)
        assert by_rest.status_code == 404
        assert by_rest.json()["data"] == {"what": "tag", "name": "pots", "near": ["post"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"query": ""}, "The query is empty"),
        ({"query": " \n\t"}, "say what the task is"),
        ({"query": "\x00\x01\x02"}, "The query holds nothing that can be read"),
        ({"query": []}, "The query is empty"),
        ({"query": ["", " "]}, "The query is empty"),
        ({"query": ["step"] * 17}, "17 steps; the limit is 16"),
        ({"query": "x" * 1_000_000}, "1000000 characters; the limit is 100000"),
        ({"query": 5}, "query: is integer (expected string or array)"),
        ({"query": None}, "query: is null (expected string or array)"),
        ({"query": ["x", 5]}, "query.1: is integer (expected string)"),
        ({}, "query: is missing"),
        ({"query": "x", "k": 0}, "k: 0 is less than the minimum of 1"),
        ({"query": "x", "k": -3}, "k: -3 is less than the minimum of 1"),
        ({"query": "x", "k": 10_000}, "k: 10000 is greater than the maximum of 50"),
        ({"query": "x", "k": 1.5}, "k: is number (expected integer)"),
        ({"query": "x", "k": "five"}, "k: is string (expected integer)"),
        ({"query": "x", "kind": "toool"}, "kind: is 'toool' (expected one of 'tool', 'prompt'"),
        ({"query": "x", "server": "file"}, "No server is named 'file'. Did you mean: files"),
        ({"query": "x", "server": ""}, "No server is named ''"),
        ({"query": "x", "tags": "post"}, "tags: is string (expected array)"),
        ({"query": "x", "tags": [" "]}, "A tag is blank"),
        ({"query": "x", "readOnly": "yes"}, "readOnly: is string (expected boolean)"),
        ({"query": "x", "max_tokens": 1}, "max_tokens: 1 is less than the minimum of 50"),
        ({"query": "x", "detail": "all"}, "detail: is 'all' (expected one of 'brief', 'name'"),
        ({"query": "x", "group_by": "kind"}, "group_by: is 'kind' (expected one of 'server')"),
        ({"query": "x", "limit": 3}, "has unknown field 'limit' (expected only query, k, kind"),
    ],
)
async def test_what_makes_no_sense_is_answered_with_what_to_do(
    open_house: OpenHouse, arguments: dict[str, Any], says: str
) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        result = await client.call_tool("search_tools", arguments)
        text = "\n".join(block.text for block in result.content if block.type == "text")
        assert result.is_error
        assert says in text
        assert len(text) < 400


async def test_control_characters_and_halves_of_characters_are_read_over(
    open_house: OpenHouse,
) -> None:
    async with furnished(open_house) as house, Client(house.mcp) as client:
        noise = "\x00\x1b[31m find\x07 a\u202e flight" + "\x01" * 500
        view, _ = await search(client, noise)
        assert names(view)[0] == "travel__find_flight"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"query": []}, "query"),
        ({"query": ["x", " ", ""]}, "query"),
        ({"query": "\x7f\x80"}, "The query holds nothing that can be read"),
        ({"query": [" ", " "]}, "The query is empty"),
        ({"query": ["x"] * 17}, "query"),
        ({"query": "x" * 1_000_000}, "query"),
        ({"query": "x", "k": -1}, "k"),
        ({"query": "x", "k": 10_000}, "1000"),
        ({"query": "x", "kinds": ["toool"]}, "'tool', 'prompt', 'resource' or 'model'"),
        ({"query": "x", "tags": [""]}, "tags"),
        ({"query": "x", "readOnly": 1}, "readOnly"),
        ({"query": "x", "rerank": "maybe"}, "'auto', 'on' or 'off'"),
        ({"query": "x", "groupBy": "kind"}, "'server'"),
        ({"query": "x", "maxTokens": 0}, "maxTokens"),
        ({"query": "x", "read_onli": True}, "did you mean"),
    ],
)
async def test_rest_refuses_what_makes_no_sense(
    open_house: OpenHouse, body: dict[str, Any], says: str
) -> None:
    async with furnished(open_house) as house:
        answer = await house.http.post("/api/v1/search", json=body)
        assert answer.status_code == 400, answer.text
        assert says in answer.json()["detail"]
        assert len(answer.text) < 3_000


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"query": ""}, "The query is empty: say what the task is, as you would to a person."),
        ({"query": ["", " "]}, "The query is empty: say what the task is"),
        ({"q": ""}, "There is no parameter 'q'. Did you mean query?"),
        ({}, "The request does not fit: query: is missing"),
    ],
)
async def test_a_url_without_a_query_is_refused_as_at_the_other_faces(
    open_house: OpenHouse, params: dict[str, Any], says: str
) -> None:
    async with furnished(open_house) as house:
        answer = await house.http.get("/api/v1/search", params=params)
        assert (answer.status_code, answer.json()["detail"][: len(says)]) == (400, says)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("field", ["k", "maxTokens"])
async def test_rest_refuses_numbers_that_are_none(
    open_house: OpenHouse, field: str, number: str
) -> None:
    async with furnished(open_house) as house:
        headers = {"content-type": "application/json"}
        content = f'{{"query": "x", "{field}": {number}}}'
        answer = await house.http.post("/api/v1/search", content=content, headers=headers)
        assert answer.status_code == 400
        by_url = await house.http.get("/api/v1/search", params={"query": "x", field: number})
        assert by_url.status_code == 400


async def test_rest_names_a_server_that_is_not_there(open_house: OpenHouse) -> None:
    async with furnished(open_house) as house:
        body = {"query": "x", "servers": ["file"]}
        answer = await house.http.post("/api/v1/search", json=body)
        assert answer.status_code == 404
        assert answer.json()["data"]["near"] == ["files"]


@pytest.mark.parametrize("k", [0, -1, 10_001])
async def test_a_count_out_of_range_is_named_as_its_caller_knows_it(
    open_house: OpenHouse, toolcrib: Toolcrib, k: int
) -> None:
    for verb in ("search", "select"):
        ran = await anyio.to_thread.run_sync(toolcrib, verb, "a task", "--limit", str(k))
        assert ran.code == 2
        bound = "greater than or equal to 1" if k < 1 else "less than or equal to 1000"
        assert f"Invalid value for '-k' / '--limit': Input should be {bound}" in ran.err
    async with open_house() as house, AsyncToolcrib(house.url) as client:
        for path, field in (("search", "query"), ("select", "task")):
            answer = await house.http.post(f"/api/v1/{path}", json={field: "a task", "k": k})
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "k")
        by_url = await house.http.get("/api/v1/search", params={"query": "a task", "k": k})
        assert (by_url.status_code, by_url.json()["errors"][0]["path"]) == (400, "k")
        with pytest.raises(InvalidInput, match=r"\bk\b"):
            await client.search("a task", k=k)
        with pytest.raises(InvalidInput, match=r"\bk\b"):
            await client.select("a task", k=k)
        async with Client(house.mcp) as assistant:
            for name, field in (("search_tools", "query"), ("select_model", "task")):
                told = await assistant.call_tool(name, {field: "a task", "k": k})
                assert told.is_error
                assert "k" in getattr(told.content[0], "text", "")
