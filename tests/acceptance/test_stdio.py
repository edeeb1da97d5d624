"""``toolcrib stdio`` as an assistant starts it: real command, real encoder, real children."""

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp import Client, StdioServerParameters

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
CACHE = Path(__file__).parents[2] / ".cache"
CLOCK = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")

@server.tool()
def convert_time(time: str, zone: str) -> str:
    "Convert a time of day to another time zone."
    return f"{time} in {zone}"

server.run()
"""

pytestmark = pytest.mark.anyio


@pytest.fixture
def command(tmp_path: Path) -> StdioServerParameters:
    """Write a registry's configuration, and say how to start it."""
    config = tmp_path / "servers.json"
    clock = tmp_path / "clock.py"
    clock.write_text(CLOCK)
    entry = f'{{"command": "{sys.executable}", "args": ["{clock}"]}}'
    config.write_text(f'{{"mcpServers": {{"clock": {entry}}}}}')
    env = {
        "TOOLCRIB_DATA_DIR": str(tmp_path / "data"),
        "TOOLCRIB_CACHE_DIR": str(CACHE),
        "TOOLCRIB_CONFIG": str(config),
    }
    return StdioServerParameters(command=str(TOOLCRIB), args=["stdio"], env={**os.environ, **env})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_assistant_over_stdio_finds_and_calls(
    command: StdioServerParameters, mode: Any
) -> None:
    async with Client(command, mode=mode, read_timeout_seconds=60) as client:
        assert len((await client.list_tools()).tools) == 5
        found: list[dict[str, Any]] = []
        while not found:
            # The configured server is synced in the background, and takes a second to start.
            answer = await client.call_tool("search_tools", {"query": "time in another zone"})
            found = answer.structured_content["results"]
        assert found[0]["name"] == "clock__convert_time"
        call = {"name": "clock__convert_time", "arguments": {"time": "12:00", "zone": "Tokyo"}}
        result = await client.call_tool("call_tool", call)
        assert getattr(result.content[0], "text", None) == "12:00 in Tokyo"
        (house,) = [p for p in psutil.Process().children() if "toolcrib" in " ".join(p.cmdline())]
        family = [house, *house.children(recursive=True)]
        assert len(family) == 2
        assert not any("libtorch" in mapped.path for mapped in house.memory_maps())
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
