"""What a user does, from registering a server to calling its tools, on every face."""

from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from .conftest import House, OpenHouse

pytestmark = pytest.mark.anyio

ERAS = ["auto", "legacy"]
META_TOOLS = ["search_tools", "get_tool_details", "call_tool", "select_model", "call_model"]


async def register(house: House, url: str) -> None:
    answer = await house.http.post("/api/v1/servers", json=server_in(url))
    assert answer.status_code == 201, answer.text
    synced = await house.http.post("/api/v1/sync")
    assert synced.status_code == 200, synced.text


def server_in(url: str) -> dict[str, Any]:
    return {"name": "clock", "transport": {"type": "http", "url": url}}


def text_of(result: Any) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


@pytest.mark.parametrize("mode", ERAS)
async def test_an_assistant_searches_inspects_and_calls(
    open_house: OpenHouse, clock_url: str, mode: Any
) -> None:
    async with open_house() as house:
        await register(house, clock_url)
        async with Client(house.mcp, mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == META_TOOLS
            query = {"query": "what is that time in another time zone", "kind": "tool"}
            found = await client.call_tool("search_tools", query)
            best = found.structured_content["results"][0]
            assert best["name"] == "clock__convert_time"
            assert best["arguments"] == {"time": "string", "zone": "string"}
            assert best["signals"].keys() <= {"dense", "lexical"}
            assert "clock__convert_time(time: string, zone: string)" in text_of(found)

            details = await client.call_tool("get_tool_details", {"names": [best["name"]]})
            schema = details.structured_content["tools"][0]["inputSchema"]
            assert schema["required"] == ["time", "zone"]

            call = {"name": best["name"], "arguments": {"time": "12:00", "zone": "Tokyo"}}
            result = await client.call_tool("call_tool", call)
            assert text_of(result) == "12:00 in Tokyo"
            assert not result.is_error


@pytest.mark.parametrize("mode", ERAS)
async def test_what_goes_wrong_is_an_answer_that_a_model_can_act_on(
    open_house: OpenHouse, clock_url: str, mode: Any
) -> None:
    async with open_house() as house:
        await register(house, clock_url)
        async with Client(house.mcp, mode=mode) as client:

            async def call(name: str, **arguments: Any) -> str:
                result = await client.call_tool("call_tool", {"name": name, "arguments": arguments})
                assert result.is_error
                return text_of(result)

            assert "zone: is missing (expected string)" in await call(
                "clock__convert_time", time="1"
            )
            assert "time: is integer (expected string)" in await call(
                "clock__convert_time", time=1, zone="UTC"
            )
            assert "Did you mean: clock__convert_time" in await call("clock__convert_tim")
            assert "the spring is broken" in await call("clock__break_clock")

            missing = await client.call_tool("get_tool_details", {"names": ["convert_time"]})
            assert missing.is_error
            assert "clock__convert_time" in text_of(missing)

            wrong = await client.call_tool("search_tools", {"query": "x", "k": 0})
            assert wrong.is_error
            assert "k:" in text_of(wrong)
            blank = await client.call_tool("search_tools", {"query": "  "})
            assert blank.is_error
            elsewhere = await client.call_tool("search_tools", {"query": "x", "server": "clok"})
            assert "Did you mean: clock" in text_of(elsewhere)

            with pytest.raises(MCPError, match="Unknown tool") as caught:
                await client.call_tool("clock__convert_time", {})
            assert caught.value.error.code == -32602


async def test_arguments_that_a_model_wrote_as_text_are_understood(
    open_house: OpenHouse, clock_url: str
) -> None:
    async with open_house() as house:
        await register(house, clock_url)
        async with Client(house.mcp) as client:
            call = {"name": "clock__list_zones", "arguments": '{"region": "Asia"}'}
            assert "Asia/Berlin" in text_of(await client.call_tool("call_tool", call))


async def test_the_server_says_what_is_behind_it_and_how_long_that_is_true(
    open_house: OpenHouse, clock_url: str
) -> None:
    async with open_house() as house:
        async with Client(house.mcp) as client:
            assert "None is registered yet" in (client.instructions or "")
        await register(house, clock_url)
        async with Client(house.mcp) as client:
            assert "3 tools of 1 server" in (client.instructions or "")
            assert "clock" in (client.instructions or "")
            tools = await client.list_tools()
            assert "clock" in (tools.tools[0].description or "")
            assert (tools.ttl_ms or 0) > 0
            assert tools.cache_scope == "public"


async def test_an_upstream_that_is_gone_is_an_error_and_its_tools_stay_findable(
    open_house: OpenHouse,
) -> None:
    from ..serving import served
    from .conftest import clock

    async with open_house() as house:
        async with served(clock().streamable_http_app()) as url:
            await register(house, f"{url}/mcp")
        async with Client(house.mcp) as client:
            call = {"name": "clock__list_zones", "arguments": {}}
            with anyio.fail_after(30):
                result = await client.call_tool("call_tool", call)
            assert result.is_error
            assert "clock" in text_of(result)
            found = await client.call_tool("search_tools", {"query": "list time zones"})
            assert found.structured_content["results"][0]["name"] == "clock__list_zones"


async def test_rest_does_the_same(open_house: OpenHouse, clock_url: str) -> None:
    async with open_house() as house:
        await register(house, clock_url)
        found = await house.http.get("/api/v1/search", params={"query": "list time zones", "k": 1})
        assert found.status_code == 200, found.text
        assert "clock__list_zones" in found.text
        call = {"name": "clock__list_zones", "arguments": {"region": "Africa"}}
        called = await house.http.post("/api/v1/call", json=call)
        assert called.status_code == 200, called.text
        assert "Africa/Lisbon" in called.text
        again = (await house.http.post("/api/v1/sync")).json()
        assert "added" in str(again)
        changes = (await house.http.get("/api/v1/changes")).json()
        assert len(changes["items"]) == house.runtime.store.head()
        assert (await house.http.delete("/api/v1/servers/clock")).status_code == 204
        gone = await house.http.get("/api/v1/search", params={"query": "list time zones"})
        assert "clock__" not in gone.text


async def test_a_model_is_findable_as_soon_as_it_is_registered(open_house: OpenHouse) -> None:
    model = {
        "name": "acme/small",
        "description": "Summarises legal contracts.",
        "descriptor": {"license": "MIT", "contextTokens": 128000},
        "offers": [
            {"provider": "acme", "remoteModel": "small", "priceInUsd": 0.1, "priceOutUsd": 0.4}
        ],
    }
    async with open_house() as house:
        answer = await house.http.post("/api/v1/models", json=model)
        assert answer.status_code == 201, answer.text
        found = await house.http.get("/api/v1/search", params={"query": "summarise a contract"})
        assert "acme/small" in found.text
        async with Client(house.mcp) as client:
            limits = {"max_price_in_usd": 1, "min_context_tokens": 100_000, "licenses": ["mit"]}
            arguments = {"task": "summarise a contract", "constraints": limits}
            chosen = await client.call_tool("select_model", arguments)
            assert chosen.structured_content["choices"][0]["name"] == "acme/small"
            limits["regions"] = ["eu"]
            none = await client.call_tool("select_model", arguments)
            assert none.structured_content["choices"] == []
            assert "region is unknown" in text_of(none)


async def test_strangers_and_foreign_pages_are_refused_on_every_face(open_house: OpenHouse) -> None:
    async with open_house() as house:
        for path in ("/mcp", "/api/v1/tools", "/healthz"):
            host = await house.http.get(path, headers={"Host": "evil.example"})
            assert host.status_code == 421, path
            page = await house.http.get(path, headers={"Origin": "https://evil.example"})
            assert page.status_code == 403, path


async def test_with_keys_configured_nobody_enters_without_one(
    open_house: OpenHouse, clock_url: str
) -> None:
    user, admin = "user-key-0123456789", "admin-key-0123456789"
    async with open_house(api_keys=(user,), admin_keys=(admin,)) as house:
        assert (await house.http.get("/healthz")).status_code == 200
        assert (await house.http.get("/api/v1/tools")).status_code == 401
        assert (await house.http.post("/mcp", json={})).status_code == 401
        house.http.headers["Authorization"] = f"Bearer {user}"
        assert (await house.http.get("/api/v1/tools")).status_code == 200
        refused = await house.http.post("/api/v1/servers", json=server_in(clock_url))
        assert refused.status_code == 403
        house.http.headers["Authorization"] = f"Bearer {admin}"
        await register(house, clock_url)
        stdio = {"name": "sh", "transport": {"type": "stdio", "command": "sh"}}
        assert (await house.http.post("/api/v1/servers", json=stdio)).status_code == 403
        for key in (user, admin):
            for change in house.runtime.store.list_changes():
                assert key not in str(change)


async def test_a_handshake_session_answers_only_to_who_began_it(open_house: OpenHouse) -> None:
    keys = ("first-key-0123456789", "second-key-0123456789")
    initialize = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    accept = {"Accept": "application/json, text/event-stream"}
    async with open_house(api_keys=keys) as house:
        mine, theirs = ({"Authorization": f"Bearer {key}", **accept} for key in keys)
        begun = await house.http.post("/mcp", json=initialize, headers=mine)
        assert begun.status_code == 200
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        stolen = await house.http.post("/mcp", json=ping, headers={**theirs, **session})
        assert stolen.status_code == 404
        ended = await house.http.delete("/mcp", headers={**theirs, **session})
        assert ended.status_code == 404
        alive = await house.http.post("/mcp", json=ping, headers={**mine, **session})
        assert alive.status_code == 200
