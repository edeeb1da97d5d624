"""Does what a scenario asks of a client, through a running Toolcrib, with the SDK's client."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping
from typing import Any

import anyio
import httpx
import mcp_types as types
from mcp.client import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError

TIMEOUT_S = 120
STUBS: Mapping[str, Any] = {
    "string": "x",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "object": {},
    "array": [],
    "null": None,
}


async def use(theirs: str, scenario: str, base: str) -> None:
    """Register a server with Toolcrib, do what is asked for, and take the server out again."""
    name = f"suite-{uuid.uuid4().hex[:12]}"
    with anyio.fail_after(TIMEOUT_S):
        async with httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S) as api:
            registered = {"name": name, "transport": {"type": "http", "url": theirs}}
            (await api.post("/api/v1/servers", json=registered)).raise_for_status()
            try:
                await play(scenario, f"{base}/servers/{name}/mcp")
            finally:
                await api.delete(f"/api/v1/servers/{name}")


async def play(scenario: str, url: str) -> None:
    """Do what one scenario asks of a client."""
    async with Client(
        url,
        elicitation_callback=accept,
        sampling_callback=answer,
        list_roots_callback=roots,
    ) as client:
        if scenario == "http-standard-headers":
            await use_everything(client)
        elif scenario == "http-custom-headers":
            await replay(client, json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")))
        elif scenario == "http-invalid-tool-headers":
            await call_all(client)
        elif scenario == "json-schema-2020-12-preservation":
            await echo_schema(client)
        else:
            await call_known(client)


async def use_everything(client: Client) -> None:
    """Call, read and get the first of each kind."""
    for tool in (await client.list_tools()).tools[:1]:
        await client.call_tool(tool.name, stub(tool.input_schema))
    for resource in (await client.list_resources()).resources[:1]:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts[:1]:
        await client.get_prompt(prompt.name)


async def replay(client: Client, context: Mapping[str, Any]) -> None:
    """Make exactly the calls that the suite names."""
    known = {tool.name for tool in (await client.list_tools()).tools}
    for call in context.get("toolCalls", []):
        if call["name"] in known:
            await try_call(client, call["name"], call.get("arguments") or {})


async def call_all(client: Client) -> None:
    """Call whatever is listed; what is malformed must not be."""
    for tool in (await client.list_tools()).tools:
        await try_call(client, tool.name, stub(tool.input_schema))


async def echo_schema(client: Client) -> None:
    """Send a schema back as it was listed."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    schema = tools["json_schema_2020_12_tool"].input_schema
    await client.call_tool("json_schema_echo", {"schema": schema})


async def call_known(client: Client) -> None:
    """Call the tools that the other scenarios have, in the order they expect."""
    listed = {tool.name for tool in (await client.list_tools()).tools}
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("add_numbers", {"a": 5, "b": 3}),
        ("test_client_elicitation_defaults", {}),
        ("test_reconnection", {}),
        ("test_mrtr_echo_state", {}),
        ("test_mrtr_unrelated", {}),
        ("test_mrtr_no_state", {}),
        ("test_mrtr_no_result_type", {}),
    )
    for name, arguments in calls:
        if name in listed:
            await client.call_tool(name, arguments)


async def try_call(client: Client, name: str, arguments: dict[str, Any]) -> None:
    """Call a tool that may refuse."""
    try:
        await client.call_tool(name, arguments)
    except MCPError as error:
        print(f"{name}: {error}", file=sys.stderr)


def stub(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Make up what a schema requires."""
    properties = schema.get("properties", {})
    return {
        name: STUBS.get(properties.get(name, {}).get("type"), "x")
        for name in schema.get("required", [])
    }


async def accept(
    context: ClientRequestContext, params: types.ElicitRequestParams
) -> types.ElicitResult | types.ErrorData:
    """Accept with the defaults of the schema, and confirm what is to be confirmed."""
    del context
    content: dict[str, Any] = {}
    if isinstance(params, types.ElicitRequestFormParams):
        for name, schema in params.requested_schema.get("properties", {}).items():
            if "default" in schema:
                content[name] = schema["default"]
            elif schema.get("type") == "boolean":
                content[name] = True
    return types.ElicitResult(action="accept", content=content)


async def answer(
    context: ClientRequestContext, params: types.CreateMessageRequestParams
) -> types.CreateMessageResult | types.ErrorData:
    """Answer as a model would."""
    del context, params
    text = types.TextContent(type="text", text="")
    return types.CreateMessageResult(role="assistant", content=text, model="none")


async def roots(context: ClientRequestContext) -> types.ListRootsResult | types.ErrorData:
    """Have no roots."""
    del context
    return types.ListRootsResult(roots=[])
