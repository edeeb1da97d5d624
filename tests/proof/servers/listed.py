"""A stdio server written with the SDK: it lists what stands in a file at that moment."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult


async def list_tools(context: Any, params: Any) -> ListToolsResult:
    """Read the file anew each time."""
    tools = json.loads(await anyio.Path(sys.argv[1]).read_text())
    return ListToolsResult.model_validate({"tools": tools})


async def main() -> None:
    """Serve over standard input and output."""
    server = Server("listed", on_list_tools=list_tools)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    assert Path(sys.argv[1]).exists()
    anyio.run(main)
