"""A server as a service: what is withheld, what is refused, and what goes through."""

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from mcp.server import Server as LowLevelServer
from mcp_types import CallToolResult, ListToolsResult, Tool

from toolcrib_registry.errors import NotFound
from toolcrib_registry.types import (
    CatalogTransport,
    ChangePolicy,
    EntryChanges,
    EntryKind,
    HttpTransport,
    Server,
    ServerName,
)
from toolcrib_server.downstream.service import RpcError

from ..serving import served
from .conftest import begin_hanging, house, modern_client, old_client, upstream

pytestmark = pytest.mark.anyio
EVERYTHING = ServerName("everything")


async def names(client, method, key, identity="name"):
    found, cursor = [], {}
    while True:
        page = await client.send(method, **cursor)
        found += [one[identity] for one in page[key]]
        if "nextCursor" not in page:
            return found
        cursor = {"cursor": page["nextCursor"]}


async def refusal(sending) -> Any:
    with pytest.raises(RpcError) as caught:
        await sending
    return caught.value


def owned(runtime, kind, name) -> Any:
    return runtime.store.find_owned(kind, EVERYTHING, name)


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_it_says_of_itself_what_the_server_says(era, tmp_path):
    async with upstream(era, "stdio") as at, house(tmp_path, at) as runtime:
        service = await runtime.servers.get("everything")
        for client in (modern_client(service).client, old_client(service).client):
            said = await service.discover(client)
            assert said["serverInfo"]["name"] == "everything"
            assert said["instructions"] == "Ask it for anything."
            assert {"tools", "prompts", "resources", "logging"} <= said["capabilities"].keys()


async def test_what_is_disabled_or_quarantined_is_neither_listed_nor_callable(tmp_path):
    async with upstream("modern", "stdio", page_size=4) as at, house(tmp_path, at) as runtime:
        await runtime.reconciler.sync([EVERYTHING])
        service = await runtime.servers.get("everything")
        client = modern_client(service)
        lists: dict[Any, Any] = {
            EntryKind.TOOL: ("tools/list", "tools", "name", "echo"),
            EntryKind.PROMPT: ("prompts/list", "prompts", "name", "greet"),
            EntryKind.RESOURCE: ("resources/list", "resources", "uri", "test://static"),
        }
        uses: dict[Any, Any] = {
            EntryKind.TOOL: [("tools/call", {"name": "echo", "arguments": {"text": "a"}})],
            EntryKind.PROMPT: [
                ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
                ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}}),
            ],
            EntryKind.RESOURCE: [("resources/read", {"uri": "test://static"})],
        }
        for kind, (method, key, identity, name) in lists.items():
            assert name in await names(client, method, key, identity)
            entry = owned(runtime, kind, name)
            runtime.store.set_entry_enabled(kind, entry.name, enabled=False, actor="test")
            await runtime.describe()
            left = await names(client, method, key, identity)
            assert left is not None
            assert name not in left
            for use, params in uses[kind]:
                error = await refusal(client.send(use, **params))
                assert (error.code, error.data["code"]) == (-32602, "not-callable")


async def test_a_template_that_is_disabled_takes_its_resources_along(tmp_path):
    async with upstream("modern", "stdio") as at, house(tmp_path, at) as runtime:
        await runtime.reconciler.sync([EVERYTHING])
        client = modern_client(await runtime.servers.get("everything"))
        assert (await client.send("resources/read", uri="test://item/7"))["contents"]
        entry = owned(runtime, EntryKind.RESOURCE, "test://item/{number}")
        runtime.store.set_entry_enabled(entry.kind, entry.name, enabled=False, actor="test")
        await runtime.describe()
        assert not (await client.send("resources/templates/list"))["resourceTemplates"]
        error = await refusal(client.send("resources/read", uri="test://item/7"))
        assert error.data["code"] == "not-callable"
        assert (await client.send("resources/read", uri="test://static"))["contents"]


async def test_what_awaits_review_stays_out(tmp_path):
    async with upstream("modern", "stdio") as at, house(tmp_path, at) as runtime:
        await runtime.reconciler.sync([EVERYTHING])
        server = runtime.store.get_server(EVERYTHING)
        known = owned(runtime, EntryKind.TOOL, "echo")
        runtime.store.apply(_forgetting(server.name, known.id), actor="test")
        client = modern_client(await runtime.servers.get("everything"))
        await runtime.describe()
        assert "echo" in await names(client, "tools/list", "tools")
        runtime.store.update_server(
            replace(server, on_change=ChangePolicy.QUARANTINE), actor="test"
        )
        await runtime.describe()
        assert "echo" not in await names(client, "tools/list", "tools")
        assert "add" in await names(client, "tools/list", "tools")
        error = await refusal(client.call("echo", text="a"))
        assert error.data["code"] == "not-callable"


def _forgetting(server, entry_id):
    return EntryChanges(server=server, removals=(entry_id,))


async def test_a_server_that_is_off_or_a_catalogue_says_so(tmp_path):
    nowhere = HttpTransport("http://127.0.0.1:9/mcp")
    async with house(tmp_path, nowhere) as runtime:
        for name, transport, enabled in (
            ("off", nowhere, False),
            ("paper", CatalogTransport("tools.jsonl"), True),
        ):
            runtime.store.add_server(
                Server(name=ServerName(name), transport=transport, enabled=enabled), actor="test"
            )
        await runtime.describe()
        for name, why in (("off", "disabled"), ("paper", "imported catalogue")):
            service = await runtime.servers.get(name)
            client = modern_client(service)
            for refused in (
                service.discover(client.client),
                client.send("tools/list"),
                client.call("echo"),
                service.listen(client.client, {"toolsListChanged": True}, client.notify),
            ):
                error = await refusal(refused)
                assert (error.code, error.data["code"]) == (-32602, "not-callable")
                assert why in error.message


async def test_a_server_that_is_down_says_so(tmp_path):
    async with house(tmp_path, HttpTransport("http://127.0.0.1:9/mcp")) as runtime:
        client = modern_client(await runtime.servers.get("everything"))
        error = await refusal(client.call("echo", text="a"))
        assert (error.code, error.data["code"]) == (503, "upstream-unavailable")


async def test_a_server_that_is_not_there_is_not_found_with_near_names(tmp_path):
    async with house(tmp_path, HttpTransport("http://127.0.0.1:9/mcp")) as runtime:
        with pytest.raises(NotFound, match="everything"):
            await runtime.servers.get("everythin")


async def test_a_server_that_is_removed_is_gone_for_those_who_use_it(tmp_path):
    async with upstream("modern", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(await runtime.servers.get("everything"))
        await client.call("echo", text="a")
        runtime.store.remove_server(EVERYTHING, actor="test")
        await runtime.describe()
        error = await refusal(client.call("echo", text="a"))
        assert error.data["code"] == "not-found"


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_arguments_that_do_not_fit_are_a_result_a_model_can_mend(era, tmp_path):
    async with upstream(era, "stdio") as at, house(tmp_path, at) as runtime:
        await runtime.reconciler.sync([EVERYTHING])
        client = modern_client(await runtime.servers.get("everything"))
        said = await client.call("add", a="two")
        assert said["isError"] is True
        assert "a:" in said["content"][0]["text"]
        odd_ones: list[dict[str, Any]] = [{"name": 7}, {"name": "add", "arguments": [1]}, {}]
        for odd in odd_ones:
            assert (await refusal(client.send("tools/call", **odd))).code == -32602


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_unknown_methods_get_the_servers_own_answer(era, tmp_path):
    async with upstream(era, "stdio") as at, house(tmp_path, at) as runtime:
        service = await runtime.servers.get("everything")
        for client in (modern_client(service), old_client(service)):
            error = await refusal(client.send("example.org/dance"))
            assert error.code == -32601
            assert error.data is None or "code" not in error.data


async def test_methods_that_ended_with_the_handshake_are_unknown_since(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        client = modern_client(await runtime.servers.get("everything"))
        for method in ("ping", "logging/setLevel", "resources/subscribe", "initialize"):
            error = await refusal(client.send(method, uri="test://static", level="debug"))
            assert error.code == -32601


async def test_leaving_closes_what_a_session_had(tmp_path):
    async with upstream("handshake", "stdio") as at, house(tmp_path, at) as runtime:
        service = await runtime.servers.get("everything")
        one, two = old_client(service, session="one"), old_client(service, session="two")
        # Each has a process of its own: what one begins the other does not see.
        await begin_hanging(one)
        assert (await one.call("what_started"))["content"][0]["text"].startswith("hang")
        assert (await two.call("what_started"))["content"][0]["text"] == ""
        await service.leave(one.client)
        assert (await one.call("what_started"))["content"][0]["text"] == ""


async def test_the_rest_of_a_result_that_was_cut_can_be_read_on(tmp_path):
    policy = {"everything": {"inline_bytes": 1000}}
    async with (
        upstream("modern", "stdio") as at,
        house(tmp_path, at, call_policy=policy) as runtime,
    ):
        client = modern_client(await runtime.servers.get("everything"))
        said = await client.call("echo", text="x" * 5000)
        [link] = [one for one in said["content"] if one["type"] == "resource_link"]
        read = await client.send("resources/read", uri=link["uri"])
        assert read["contents"]


@pytest.mark.parametrize("name", ["pay\u200bment", "pay\r\nment", "p" * 100])
async def test_what_a_sync_could_not_take_is_withheld_whatever_it_is_called(tmp_path, name):
    async with odd_server(name) as at, house(tmp_path, at) as runtime:
        await runtime.reconciler.sync([EVERYTHING])
        await runtime.describe()
        client = modern_client(await runtime.servers.get("everything"))
        assert await names(client, "tools/list", "tools") == ["fine"]
        error = await refusal(client.call(name))
        assert error.data["code"] == "not-callable"


@asynccontextmanager
async def odd_server(name):
    """Run a server of two tools; of one of them the schema is none."""
    broken = {"type": "object", "properties": {"a": {"type": "nonsense"}}}
    schemas: dict[str, Any] = {"fine": {"type": "object"}, name: broken}

    async def list_tools(ctx, params):
        return ListToolsResult(
            tools=[Tool(name=each, input_schema=schema) for each, schema in schemas.items()]
        )

    async def call_tool(ctx, params):
        return CallToolResult(content=[])

    server = LowLevelServer("odd", on_list_tools=list_tools, on_call_tool=call_tool)
    async with served(server.streamable_http_app()) as url:
        yield HttpTransport(f"{url}/mcp")
