"""What a tool needs comes along in the whole house: from real schemas, and from calls."""

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import CallRecord, EntryId, ServerName

from ..serving import served
from .conftest import House, OpenHouse, Toolcrib

QUERY = "throw somebody out of the room"
USERS, BAN, KNOCK = (EntryId(f"tool:chat__{name}") for name in ("find_user", "ban", "knock"))


def chat() -> MCPServer:
    """A small real upstream server, one of whose tools wants what another one gives."""
    server = MCPServer("chat")

    @server.tool()
    def ban(user_id: str) -> str:
        """Throw somebody out of the room."""
        return user_id

    @server.tool()
    def find_user(text: str) -> str:
        """Names and addresses."""
        return text

    @server.tool()
    def knock() -> str:
        """Ring at a door."""
        return ""

    for number in range(12):
        server.add_tool(lambda: "", name=f"room{number}", description=f"Out of the room {number}.")
    return server


@pytest.fixture
async def chat_url() -> AsyncGenerator[str]:
    """Serve the chat over Streamable HTTP."""
    async with served(chat().streamable_http_app()) as url:
        yield f"{url}/mcp"


async def register(house: House, url: str) -> None:
    server = {"name": "chat", "transport": {"type": "http", "url": url}}
    assert (await house.http.post("/api/v1/servers", json=server)).status_code == 201
    assert (await house.http.post("/api/v1/sync")).status_code == 200


async def brought(house: House, **asked: Any) -> dict[str, tuple[list[str], str, str | None]]:
    body = {"query": QUERY, "k": 6, **asked}
    answer = await house.http.post("/api/v1/search", json=body)
    assert answer.status_code == 200, answer.text
    return {
        hit["name"]: (hit["requiredBy"], hit["requiredHow"], hit["requiredWhy"])
        for hit in answer.json()["hits"]
        if hit["requiredBy"]
    }


def calls(*runs: tuple[EntryId, ...], principal: str = "local") -> list[CallRecord]:
    start = datetime.now(UTC) - timedelta(days=2)
    return [
        CallRecord(
            id=f"{principal}-{number}-{place}",
            at=start + timedelta(hours=number, seconds=place),
            subject=entry,
            server=ServerName("chat"),
            face="mcp",
            principal=principal,
            outcome="ok",
            duration_ms=1.0,
            argument_shape={},
        )
        for number, run in enumerate(runs)
        for place, entry in enumerate(run)
    ]


@pytest.mark.anyio
async def test_every_face_says_what_came_along_and_how_that_is_known(
    open_house: OpenHouse, chat_url: str
) -> None:
    async with open_house() as house:
        await register(house, chat_url)
        why = "user_id is what find_user gives"
        assert await brought(house) == {"chat__find_user": (["chat__ban"], "schema", None)}
        assert (await brought(house, explain=True))["chat__find_user"][2] == why
        assert await brought(house, dependencies=False) == {}
        assert await brought(house, query="zebra oboe quagmire") == {}

        async with Client(house.mcp) as client:
            arguments = {"query": QUERY, "k": 6, "explain": True}
            answer = await client.call_tool("search_tools", arguments)
            bare = {**arguments, "dependencies": False}
            alone = await client.call_tool("search_tools", bare)
        assert alone.structured_content is not None
        assert alone.structured_content["results"]
        assert not any("neededBy" in one for one in alone.structured_content["results"])
        assert answer.structured_content is not None
        last = answer.structured_content["results"][-1]
        assert (last["neededBy"], last["neededHow"]) == (["chat__ban"], "schema")
        assert last["neededWhy"] == why
        text = getattr(answer.content[0], "text", "")
        assert "(needed by chat__ban, as schemas suggest)" in text

        async with AsyncToolcrib(house.url) as crib:
            hits = (await crib.search(QUERY, k=6)).hits
        assert (hits[-1].name, hits[-1].required_how) == ("chat__find_user", "schema")


@pytest.mark.anyio
async def test_what_is_disabled_does_not_come(open_house: OpenHouse, chat_url: str) -> None:
    async with open_house() as house:
        await register(house, chat_url)
        off = await house.http.post("/api/v1/tools/chat__find_user/disable")
        assert off.status_code == 200, off.text
        assert await brought(house) == {}


@pytest.mark.anyio
async def test_calls_teach_what_no_schema_says_until_they_are_forgotten(
    open_house: OpenHouse, chat_url: str
) -> None:
    async with open_house(learning="on") as house:
        await register(house, chat_url)
        store, companions = house.runtime.store, house.runtime.companions
        store.record_calls(calls(*((KNOCK, BAN),) * 5))
        await companions.look(now=True)
        found = await brought(house, explain=True)
        assert found["chat__knock"][:2] == (["chat__ban"], "use")
        assert str(found["chat__knock"][2]).startswith("called before it in 100%")
        assert found["chat__find_user"][1] == "schema"

        assert (await house.http.delete("/api/v1/feedback")).status_code == 200
        assert set(await brought(house)) == {"chat__find_user"}
        assert len(store.list_calls()) == 10


@pytest.mark.anyio
async def test_a_need_is_refused_over_rest_and_by_the_client_and_taken_back(
    open_house: OpenHouse, chat_url: str
) -> None:
    tool, needed = "chat__ban", "chat__find_user"
    async with open_house() as house, AsyncToolcrib(house.url) as crib:
        await register(house, chat_url)
        assert set(await brought(house)) == {needed}
        settled = await crib.refuse_need(tool, needed)
        assert (settled.refused, settled.changed, settled.declared) == (True, True, False)
        assert not (await crib.refuse_need(tool, needed)).changed
        assert await brought(house) == {}
        (pair,) = (await crib.learning()).refused
        assert (pair.tool, pair.needed) == (tool, needed)
        with pytest.raises(NotFound, match=needed):
            await crib.refuse_need(tool, "chat__find_usr")
        with pytest.raises(InvalidInput, match="two different ones"):
            await crib.refuse_need(tool, tool)

        settled = await crib.allow_need(tool, needed)
        assert (settled.refused, settled.changed) == (False, True)
        assert set(await brought(house)) == {needed}
        assert not (await crib.allow_need(tool, needed)).changed
        with pytest.raises(NotFound, match=tool):
            await crib.allow_need("chat__bann", needed)


def test_the_command_line_shows_what_is_needed_and_refuses_it(
    tmp_path: Path, toolcrib: Toolcrib
) -> None:
    tools = tmp_path / "tools.jsonl"
    needy = {"required": ["user_id"], "properties": {"user_id": {"type": "string"}}}
    rows = [
        {"server": "chat", "name": "ban", "description": "Throw out.", "input_schema": needy},
        {"server": "chat", "name": "find_user", "description": "Names."},
    ]
    tools.write_text("\n".join(map(json.dumps, rows)))
    assert toolcrib("import", tools).code == 0

    shown = toolcrib("show", "chat__ban", "--json").json
    why = "user_id is what find_user gives"
    assert shown["needs"] == [{"name": "chat__find_user", "how": "schema", "why": why}]
    assert "needs" not in toolcrib("show", "chat__find_user", "--json").json

    assert toolcrib("learning", "refuse", "chat__ban", "chat__finduser").code == 3
    never = "chat__ban never brings chat__find_user"
    assert never in toolcrib("learning", "refuse", "chat__ban", "chat__find_user").out
    assert "refused already" in toolcrib("learning", "refuse", "chat__ban", "chat__find_user").out
    assert "needs" not in toolcrib("show", "chat__ban", "--json").json
    assert f"{never}: it was refused." in toolcrib("learning", "status").out
    status = toolcrib("learning", "status", "--json").json
    pair = {"tool": "chat__ban", "needed": "chat__find_user"}
    assert (status["needs"], status["refused"]) == ([], [pair])
    assert toolcrib("show", "chat__ban", "--json").json["refusedNeeds"] == ["chat__find_user"]
    assert "refusedNeeds: chat__find_user\n" in toolcrib("show", "chat__ban").out
    undone = toolcrib("learning", "refuse", "chat__ban", "chat__find_user", "--undo").out
    assert "chat__ban may bring chat__find_user." in undone
    assert "needs" in toolcrib("show", "chat__ban", "--json").json
    assert toolcrib("learning", "refuse", "chat__ban", "chat__ban").code == 2

    assert toolcrib("learning", "refuse", "chat__ban", "chat__find_user").code == 0
    assert toolcrib("remove", "chat").code == 0
    assert toolcrib("learning", "refuse", "chat__ban", "chat__find_user", "--undo").code == 0
    assert toolcrib("learning", "status", "--json").json["refused"] == []


def test_what_an_owner_declares_is_said_to_stay(tmp_path: Path, toolcrib: Toolcrib) -> None:
    tools = tmp_path / "tools.jsonl"
    rows = [
        {"server": "bank", "name": "pay", "description": "Pay.", "depends_on": ["login"]},
        {"server": "bank", "name": "login", "description": "Log in."},
    ]
    tools.write_text("\n".join(map(json.dumps, rows)))
    assert toolcrib("import", tools).code == 0
    said = toolcrib("learning", "refuse", "bank__pay", "bank__login").err
    assert "owner declares that bank__pay needs bank__login: that stays." in said
