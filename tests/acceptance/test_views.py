"""A view over HTTP, in both eras, with the SDK's own client."""

import json
from dataclasses import replace
from typing import Annotated, Any

import anyio
import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ElicitResult
from pydantic import BaseModel

from toolcrib_registry.types import (
    EntryChanges,
    HttpTransport,
    Members,
    Server,
    ServerName,
    Tool,
    ToolOverride,
    View,
    ViewMode,
)
from toolcrib_server.downstream.service import Client as ServiceClient
from toolcrib_server.gateway.views import find_view

from ..serving import served
from .conftest import OpenHouse

pytestmark = pytest.mark.anyio


class NewName(BaseModel):
    """What a file is to be called."""

    name: str


def files() -> MCPServer:
    """A server with a tool whose parameters are not all for everybody."""
    server = MCPServer("files")

    @server.tool()
    def search_files(pattern: str, root: str, limit: int = 10, trace: bool = False) -> str:
        """Search files by a pattern."""
        return f"{pattern} in {root}, {limit}, trace {trace}"

    @server.tool()
    def delete_file(path: str) -> str:
        """Delete a file for good."""
        return f"deleted {path}"

    async def ask_name(path: str) -> Any:
        return Elicit(f"What is {path} to be called?", NewName)

    @server.tool()
    async def rename_file(path: str, new: Annotated[NewName, Resolve(ask_name)]) -> str:
        """Rename a file, once somebody has said to what."""
        return f"{path} is now {new.name}"

    return server


@pytest.fixture
async def files_url():
    async with served(files().streamable_http_app()) as url:
        yield f"{url}/mcp"


DESK = View(
    name="desk",
    title="Desk work",
    description="Convert times, and find files.",
    include=Members(servers=(ServerName("clock"),), tools=("files__search_files",)),
    exclude=Members(tools=("clock__break_clock",)),
    overrides=(
        ToolOverride(
            tool="files__search_files",
            name="find",
            description="Find files of the project.",
            defaults={"limit": 3},
            fixed={"root": "/project"},
            hidden=("trace",),
        ),
    ),
)


async def register(house, **urls: str) -> None:
    for name, url in urls.items():
        body = {"name": name, "transport": {"type": "http", "url": url}}
        added = await house.http.post("/api/v1/servers", json=body)
        assert added.status_code == 201, added.text
    synced = await house.http.post("/api/v1/sync", json={})
    assert synced.status_code == 200, synced.text


@pytest.fixture
async def house(open_house: OpenHouse, clock_url: str, files_url: str):
    async with open_house() as opened:
        await register(opened, clock=clock_url, files=files_url)
        yield opened


@pytest.fixture(params=["auto", "legacy"])
def connect(request):
    """Connect as a client of each era would."""

    def open_client(url: str, **how: Any) -> Client:
        return Client(url, mode=request.param, **how)

    return open_client


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


def view(house, name: str) -> str:
    return f"{house.url}/mcp/v/{name}"


async def test_a_small_view_lists_its_tools_under_its_names(house, connect):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with connect(view(house, "desk")) as client:
        tools = (await client.list_tools()).tools
        result = await client.call_tool("find", {"pattern": "*.py"})
        other = await client.call_tool("clock__convert_time", {"time": "3pm", "zone": "Tokyo"})

        assert client.server_info.name == "desk"
        assert client.instructions == "Convert times, and find files."
    assert [tool.name for tool in tools] == ["clock__convert_time", "clock__list_zones", "find"]
    assert tools[2].description == "Find files of the project."
    assert sorted(tools[2].input_schema["properties"]) == ["limit", "pattern"]
    assert tools[2].input_schema["required"] == ["pattern"]
    assert text_of(result) == "*.py in /project, 3, trace False"
    assert text_of(other) == "3pm in Tokyo"


@pytest.mark.parametrize(
    "name",
    [
        "files__search_files",  # its own name, which the view took from it
        "files__delete_file",
        "delete_file",
        "clock__break_clock",  # excluded
        "call_tool",  # of a view that searches
        "search_tools",
        "select_model",
        "Find",
        " find",
    ],
)
async def test_what_is_not_in_a_view_is_not_callable_through_it(house, connect, name):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with connect(view(house, "desk")) as client:
        with pytest.raises(MCPError, match="Unknown tool") as raised:
            await client.call_tool(name, {"name": "files__delete_file", "arguments": {}})
    assert raised.value.code == INVALID_PARAMS


async def test_a_caller_cannot_give_what_is_not_theirs_to_give(house, connect):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with connect(view(house, "desk")) as client:
        for name in ("root", "trace"):
            result = await client.call_tool("find", {"pattern": "x", name: "/etc"})
            assert result.is_error
            assert text_of(result).startswith(f"Arguments for find do not fit: {name}: is no")
        missing = await client.call_tool("find", {})
        wrong = await client.call_tool("find", {"pattern": "x", "limit": "many"})

    assert "Arguments for find do not fit: pattern: is missing" in text_of(missing)
    assert "limit: is string (expected integer)" in text_of(wrong)


SEARCHED = replace(DESK, name="big", mode=ViewMode.SEARCH, pinned=("clock__list_zones",))


async def test_a_large_view_is_searched_and_shows_what_is_pinned(house, connect):
    await house.runtime.view_desk.add(SEARCHED, actor="test")
    async with connect(view(house, "big")) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        found = await client.call_tool("search_tools", {"query": "search files by a pattern"})
        deleting = await client.call_tool("search_tools", {"query": "delete a file for good"})
        details = await client.call_tool(
            "get_tool_details", {"names": ["find", "files__search_files", "files__delete_file"]}
        )
        called = await client.call_tool(
            "call_tool", {"name": "find", "arguments": {"pattern": "*.md"}}
        )
        pinned = await client.call_tool("clock__list_zones", {})

        assert "There are 3 tools here." in client.instructions
    assert tools == ["search_tools", "get_tool_details", "call_tool", "clock__list_zones"]
    best = found.structured_content["results"][0]
    assert best["name"] == "find"
    assert best["description"] == "Find files of the project."
    assert best["arguments"] == {"pattern": "string", "limit": "integer?"}
    assert found.structured_content["searched"] == 3
    names = {result["name"] for result in deleting.structured_content["results"]}
    assert names <= {"find", "clock__convert_time", "clock__list_zones"}
    (shown,) = details.structured_content["tools"]
    assert shown["name"] == "find"
    assert sorted(shown["inputSchema"]["properties"]) == ["limit", "pattern"]
    missing = {missing["name"] for missing in details.structured_content["missing"]}
    assert missing == {"files__search_files", "files__delete_file"}
    assert text_of(called) == "*.md in /project, 3, trace False"
    assert "Europe/Berlin" in text_of(pinned)


@pytest.mark.parametrize("detail", ["name", "brief", "full"])
async def test_a_search_of_a_view_tells_nothing_of_what_is_outside(house, detail):
    await house.runtime.view_desk.add(SEARCHED, actor="test")
    async with Client(view(house, "big")) as client:
        found = await client.call_tool(
            "search_tools",
            {"query": ["delete a file", "search files", "break the clock"], "detail": detail},
        )
    said = json.dumps(found.structured_content) + text_of(found)

    assert "delete" not in said.replace('"delete a file"', "").replace("1. delete a file", "")
    assert "break_clock" not in said
    assert "trace" not in said
    assert "root" not in said
    assert "/project" not in said


async def test_a_search_of_a_view_takes_filters_of_what_is_in_it(house):
    await house.runtime.view_desk.add(SEARCHED, actor="test")
    async with Client(view(house, "big")) as client:

        async def search(**how):
            return await client.call_tool("search_tools", {"query": "anything", **how})

        clock = await search(server="clock")
        other = await search(server="elsewhere")
        kind = await search(kind="model")

    assert {r["server"] for r in clock.structured_content["results"]} == {"clock"}
    assert text_of(other).startswith("No server is named 'elsewhere'.")
    assert "has unknown field 'kind'" in text_of(kind)


@pytest.mark.parametrize("name", ["files__delete_file", "files__search_files", "big__find", ""])
async def test_call_tool_of_a_view_calls_nothing_outside(house, name):
    await house.runtime.view_desk.add(SEARCHED, actor="test")
    async with Client(view(house, "big")) as client:
        result = await client.call_tool("call_tool", {"name": name, "arguments": {"path": "x"}})

    assert result.is_error
    assert "No tool is named" in text_of(result)
    await house.runtime.audit.flush()
    assert not house.runtime.store.list_calls()


@pytest.mark.parametrize("mode", [ViewMode.TOOLS, ViewMode.SEARCH])
async def test_what_a_tool_of_a_view_asks_reaches_the_person(house, connect, mode):
    override = ToolOverride(tool="files__rename_file", name="rename", fixed={"path": "/a"})
    asking = View(
        name="ask",
        include=Members(tools=("files__rename_file",)),
        overrides=(override,),
        mode=mode,
    )
    await house.runtime.view_desk.add(asking, actor="test")
    asked: list[str] = []

    async def answer(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"name": "/b"})

    async with connect(view(house, "ask"), elicitation_callback=answer) as client:
        if mode is ViewMode.TOOLS:
            result = await client.call_tool("rename", {})
        else:
            result = await client.call_tool("call_tool", {"name": "rename", "arguments": {}})

    assert text_of(result) == "/a is now /b"
    assert asked == ["What is /a to be called?"]


async def test_calls_through_a_view_are_recorded_as_such(house):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with Client(view(house, "desk")) as client:
        await client.call_tool("find", {"pattern": "x"})
    await house.runtime.audit.flush()

    (record,) = house.runtime.store.list_calls()
    assert (record.face, record.subject) == ("view:desk", "tool:files__search_files")


async def test_a_view_that_is_not_there_is_no_endpoint(house):
    await house.runtime.view_desk.add(DESK, actor="test")

    answer = await house.http.post("/mcp/v/desks", json={"jsonrpc": "2.0", "id": 1, "method": "x"})

    assert answer.status_code == 404
    assert "Did you mean: desk?" in answer.text


async def test_a_long_list_comes_in_pages(house, connect):
    tools = tuple(
        Tool(
            name=f"many__t{n:04}",
            server=ServerName("many"),
            local_name=f"t{n:04}",
            definition={"name": f"t{n:04}", "inputSchema": {"type": "object"}},
            content_hash=str(n),
        )
        for n in range(2_500)
    )
    store = house.runtime.store
    transport = HttpTransport("http://127.0.0.1:1/mcp")
    server = Server(name=ServerName("many"), transport=transport, enabled=True)
    store.add_server(server, actor="test")
    store.apply(EntryChanges(server=ServerName("many"), upserts=tools), actor="test")
    many = View(name="m", include=Members(servers=(ServerName("many"),)), mode=ViewMode.TOOLS)
    await house.runtime.view_desk.add(many, actor="test")
    async with connect(view(house, "m")) as client:
        first = await client.list_tools()
        second = await client.list_tools(cursor=first.next_cursor)
        third = await client.list_tools(cursor=second.next_cursor)
        for cursor in ("9", "1000.0000000000000000", "x.y", "-1.a", "1" * 5000):
            with pytest.raises(MCPError, match="Not a cursor of this list"):
                await client.list_tools(cursor=cursor)

    listed = [tool.name for page in (first, second, third) for tool in page.tools]
    assert listed == [tool.name for tool in tools]
    assert third.next_cursor is None


async def test_prompts_and_resources_of_its_servers_come_with_a_view(house, connect):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with connect(view(house, "desk")) as client:
        prompts = (await client.list_prompts()).prompts
        prompt = await client.get_prompt("clock__morning")
        resources = (await client.list_resources()).resources
        read = await client.read_resource("clock://zones")

    assert [prompt.name for prompt in prompts] == ["clock__morning"]
    assert prompt.messages[0].content.text == "Good morning."
    assert [str(resource.uri) for resource in resources] == ["clock://zones"]
    assert read.contents[0].text == "UTC"


async def test_prompts_and_resources_of_other_servers_do_not(house, connect):
    of_files = View(name="f", include=Members(servers=(ServerName("files"),)))
    await house.runtime.view_desk.add(of_files, actor="test")
    async with connect(view(house, "f")) as client:
        assert (await client.list_tools()).tools
        with pytest.raises(MCPError, match="Unknown prompt: 'clock__morning'"):
            await client.get_prompt("clock__morning")
        with pytest.raises(MCPError, match="Resource not found"):
            await client.read_resource("clock://zones")
        # A client may say which server it means; that opens no door.
        meta: Any = {"io.toolcrib/server": "clock"}
        with pytest.raises(MCPError, match="Resource not found"):
            await client.read_resource("clock://zones", meta=meta)


async def test_a_client_is_told_when_the_tools_of_a_view_change(house):
    await house.runtime.view_desk.add(DESK, actor="test")
    heard: list[str] = []
    came = anyio.Event()

    async def notify(method: str, params: Any) -> None:
        heard.append(method)
        if method == "notifications/tools/list_changed":
            came.set()
        if len(heard) == 1:
            started.set()

    started = anyio.Event()
    service = await find_view(house.runtime.views, "desk")
    asker = ServiceClient(principal="local", version="2026-07-28")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.listen, asker, {"toolsListChanged": True}, notify)
        with anyio.fail_after(30):
            await started.wait()
            # Of another server: nothing of the view changes.
            disabled = "/api/v1/tools/files__delete_file/disable"
            assert (await house.http.post(disabled)).status_code == 200
            assert (await house.http.get("/api/v1/views/desk/shown")).status_code == 200
            assert heard == ["notifications/subscriptions/acknowledged"]
            disabled = "/api/v1/tools/clock__list_zones/disable"
            assert (await house.http.post(disabled)).status_code == 200
            await came.wait()
        assert len(heard) == 2
        # It ends by itself when there is nothing more to listen to.
        with anyio.fail_after(30):
            assert (await house.http.delete("/api/v1/views/desk")).status_code == 204
    assert len(heard) <= 3


async def test_what_changes_upstream_shows_in_a_view_at_once(house):
    await house.runtime.view_desk.add(DESK, actor="test")
    async with Client(view(house, "desk"), cache=None) as client:
        assert len((await client.list_tools()).tools) == 3
        await house.http.post("/api/v1/tools/clock__list_zones/disable")
        assert len((await client.list_tools()).tools) == 2
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("clock__list_zones", {})


async def test_a_view_lists_the_same_bytes_each_time(house):
    await house.runtime.view_desk.add(DESK, actor="test")
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/list",
        "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
        },
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/list",
    }
    first = await house.http.post("/mcp/v/desk", json=body, headers=headers)
    # Undone and done again; and another view comes.
    await house.http.post("/api/v1/tools/clock__list_zones/disable")
    await house.http.post("/api/v1/tools/clock__list_zones/enable")
    await house.runtime.view_desk.add(replace(DESK, name="other"), actor="test")
    again = await house.http.post("/mcp/v/desk", json=body, headers=headers)

    assert first.status_code == 200
    assert first.content == again.content
    assert b"/project" not in first.content
