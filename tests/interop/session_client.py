"""The SDK's plain client session, as programs from before 2026 use it: handshake, then requests.

Written to run on the SDK's 1.x and 2.x releases alike; it is started with the Python of either.
Usage: session_client.py URL | session_client.py COMMAND ARGS…; prints one JSON object.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

TIMEOUT_S = 60


async def talk(target: list[str]) -> dict[str, Any]:
    """List, search and call through the server at ``target``."""
    async with AsyncExitStack() as stack:
        if target[0].startswith("http"):
            opened = streamable_http_client(target[0])
        else:
            opened = stdio_client(
                StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
            )
        # The 1.x release yields a third value over HTTP.
        streams: Any = await stack.enter_async_context(opened)
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1]))
        hello = plain(await session.initialize())
        tools = plain(await session.list_tools())["tools"]

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return plain(await session.call_tool(name, arguments))

        return {
            "protocol": hello["protocolVersion"],
            "instructions": hello.get("instructions"),
            "tools": [tool["name"] for tool in tools],
            "search": await call("search_tools", {"query": "say a text back"}),
            "call": await call("call_tool", {"name": "echo__echo", "arguments": {"text": "hello"}}),
            "wrong": await call("call_tool", {"name": "echo__echo", "arguments": {"text": 7}}),
        }


def plain(result: Any) -> dict[str, Any]:
    """Turn a result into JSON as it was on the wire, whichever release read it."""
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main() -> None:
    """Talk, within a deadline, and print what came of it."""
    print(json.dumps(await asyncio.wait_for(talk(sys.argv[1:]), TIMEOUT_S)))


if __name__ == "__main__":
    asyncio.run(main())
