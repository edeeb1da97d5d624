"""What a tool needs comes along in the whole house: from real schemas, and from calls."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer

from toolcrib_clients import AsyncToolcrib
from toolcrib_registry.types import CallRecord, EntryId, ServerName
from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import told

from .conftest import House, OpenHouse, served

ROOT = Path(__file__).parents[2]
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

        assert await companions.refuse(BAN, USERS, actor="test")
        assert await brought(house) == {}


Run = Callable[..., tuple[Any, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: its exit code and what it printed."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "encoders").symlink_to(ROOT / ".cache" / "encoders")
    monkeypatch.setenv("TOOLCRIB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOOLCRIB_CACHE_DIR", str(cache))

    def inside(*args: object) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["toolcrib", *map(str, args)])
        code: Any = 0
        try:
            told(app)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code or 0, captured.out if "--json" in args else captured.out + captured.err

    return inside


def test_the_command_line_shows_what_is_needed_and_refuses_it(tmp_path: Path, run: Run) -> None:
    tools = tmp_path / "tools.jsonl"
    needy = {"required": ["user_id"], "properties": {"user_id": {"type": "string"}}}
    rows = [
        {"server": "chat", "name": "ban", "description": "Throw out.", "input_schema": needy},
        {"server": "chat", "name": "find_user", "description": "Names."},
    ]
    tools.write_text("\n".join(map(json.dumps, rows)))
    assert run("import", tools)[0] == 0

    shown = json.loads(run("show", "chat__ban", "--json")[1])
    why = "user_id is what find_user gives"
    assert shown["needs"] == [{"name": "chat__find_user", "how": "schema", "why": why}]
    assert "needs" not in json.loads(run("show", "chat__find_user", "--json")[1])

    assert run("learning", "refuse", "chat__ban", "chat__finduser")[0] == 3
    never = "chat__ban never brings chat__find_user"
    assert never in run("learning", "refuse", "chat__ban", "chat__find_user")[1]
    assert "refused already" in run("learning", "refuse", "chat__ban", "chat__find_user")[1]
    assert "needs" not in json.loads(run("show", "chat__ban", "--json")[1])
    assert f"{never}: it was refused." in run("learning", "status")[1]
    status = json.loads(run("learning", "status", "--json")[1])
    assert (status["needs"], status["refused"]) == ([], [["chat__ban", "chat__find_user"]])
    undone = run("learning", "refuse", "chat__ban", "chat__find_user", "--undo")[1]
    assert "chat__ban may bring chat__find_user." in undone
    assert "needs" in json.loads(run("show", "chat__ban", "--json")[1])
    assert run("learning", "refuse", "chat__ban", "chat__ban")[0] == 2

    assert run("learning", "refuse", "chat__ban", "chat__find_user")[0] == 0
    assert run("remove", "chat")[0] == 0
    assert run("learning", "refuse", "chat__ban", "chat__find_user", "--undo")[0] == 0
    assert json.loads(run("learning", "status", "--json")[1])["refused"] == []


def test_what_an_owner_declares_is_said_to_stay(tmp_path: Path, run: Run) -> None:
    tools = tmp_path / "tools.jsonl"
    rows = [
        {"server": "bank", "name": "pay", "description": "Pay.", "depends_on": ["login"]},
        {"server": "bank", "name": "login", "description": "Log in."},
    ]
    tools.write_text("\n".join(map(json.dumps, rows)))
    assert run("import", tools)[0] == 0
    said = run("learning", "refuse", "bank__pay", "bank__login")[1]
    assert "owner declares that bank__pay needs bank__login: that stays." in said
