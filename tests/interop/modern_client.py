"""The SDK's own client on the protocol without a handshake.

Usage: modern_client.py URL | modern_client.py COMMAND ARGS…; prints one JSON object.
"""

import asyncio
import json
import os
import sys
from typing import Any

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

TIMEOUT_S = 60
PROTOCOL = "2026-07-28"


async def talk(target: list[str]) -> dict[str, Any]:
    """List, search and call through the server at ``target``."""
    server = (
        target[0]
        if target[0].startswith("http")
        else stdio_client(
            StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        )
    )
    async with Client(server, mode="auto") as client:
        if client.protocol_version != PROTOCOL:
            raise SystemExit(f"spoke {client.protocol_version}, not {PROTOCOL}")
        tools = (await client.list_tools()).tools

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await client.call_tool(name, arguments)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        return {
            "protocol": client.protocol_version,
            "instructions": client.instructions,
            "tools": [tool.name for tool in tools],
            "search": await call("search_tools", {"query": "say a text back"}),
            "call": await call("call_tool", {"name": "echo__echo", "arguments": {"text": "hello"}}),
            "wrong": await call("call_tool", {"name": "echo__echo", "arguments": {"text": 7}}),
        }


async def main() -> None:
    """Talk, within a deadline, and print what came of it."""
    print(json.dumps(await asyncio.wait_for(talk(sys.argv[1:]), TIMEOUT_S)))


if __name__ == "__main__":
    asyncio.run(main())
