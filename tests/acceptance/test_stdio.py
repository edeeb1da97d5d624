"""``toolcrib stdio`` as an assistant starts it: real command, real encoder, real children."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters

from toolcrib_migrations import open_store
from toolcrib_registry.types import Server, ServerName, StdioTransport

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
            await anyio.sleep(0.05)
            answer = await client.call_tool("search_tools", {"query": "time in another zone"})
            found = answer.structured_content["results"]
        assert found[0]["name"] == "clock__convert_time"
        call = {"name": "clock__convert_time", "arguments": {"time": "12:00", "zone": "Tokyo"}}
        result = await client.call_tool("call_tool", call)
        assert getattr(result.content[0], "text", None) == "12:00 in Tokyo"
        (house,) = [p for p in psutil.Process().children() if "stdio" in p.cmdline()]
        family = [house, *house.children(recursive=True)]
        assert sum("clock.py" in " ".join(p.cmdline()) for p in family) == 1
        assert not any("libtorch" in mapped.path for mapped in house.memory_maps())
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_one_server_is_served_as_it_is(command: StdioServerParameters, mode: Any) -> None:
    alone = command.model_copy(update={"args": ["stdio", "--server", "clock"]})
    async with Client(alone, mode=mode, read_timeout_seconds=60) as client:
        assert client.server_info is not None
        assert client.server_info.name == "clock"
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "convert_time"
        result = await client.call_tool("convert_time", {"time": "12:00", "zone": "Tokyo"})
        assert getattr(result.content[0], "text", None) == "12:00 in Tokyo"


async def test_of_several_servers_the_one_that_is_served_is_started_and_synced(
    command: StdioServerParameters, tmp_path: Path
) -> None:
    assert command.env is not None
    (tmp_path / "data").mkdir()
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'toolcrib.db'}")
    started = tmp_path / "started"
    other = StdioTransport(sys.executable, ("-c", f"open({str(started)!r}, 'w').close()"))
    store.add_server(Server(name=ServerName("other"), transport=other), actor="test")
    alone = command.model_copy(update={"args": ["stdio", "--server", "clock"]})
    async with Client(alone, read_timeout_seconds=60) as client:
        assert (await client.list_tools()).tools
        with anyio.fail_after(60):
            while store.get_server(ServerName("clock")).health.synced_at is None:  # noqa: ASYNC110
                await anyio.sleep(0.05)
    assert store.get_server(ServerName("other")).health.attempted_at is None
    assert not started.exists()
    store.close()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_view_is_served_over_stdio(command: StdioServerParameters, mode: Any) -> None:
    assert command.env is not None
    config = command.env["TOOLCRIB_CONFIG"]
    for verb in (["import", config], ["view", "create", "times", "--server", "clock"]):
        done = await anyio.run_process([str(TOOLCRIB), *verb], env=command.env, check=False)
        assert done.returncode == 0, done.stderr
    seen = command.model_copy(update={"args": ["stdio", "--view=times"]})
    async with Client(seen, mode=mode, read_timeout_seconds=60) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool(tool.name, {"time": "12:00", "zone": "Tokyo"})
        assert getattr(result.content[0], "text", None) == "12:00 in Tokyo"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--server", "clok"], 3, "Did you mean: clock"),
        (["--view", "nothing"], 3, "nothing"),
        (["--server", "clock", "--view", "x"], 2, "not both"),
        (["--srever", "clock"], 2, "--srever"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    command: StdioServerParameters, arguments: list[str], code: int, said: str
) -> None:
    done = subprocess.run(
        [str(TOOLCRIB), "stdio", *arguments],
        env=command.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["end", "signal"])
def test_a_raw_pipe_is_answered_and_its_end_leaves_nothing_running(
    command: StdioServerParameters, how: str
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    ask: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen"}
    ask["params"] = {"notifications": {"toolsListChanged": True}, "_meta": meta}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([str(TOOLCRIB), "stdio"], env=command.env, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(ask).encode() + b"\nnoise\n")
        process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert {each.get("method") for each in told} == {
            "notifications/subscriptions/acknowledged",
            None,
        }
        family = [psutil.Process(process.pid)]
        while not family[1:]:  # its server is started in the background
            family = [family[0], *family[0].children(recursive=True)]
        if how == "end":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == (0 if how == "end" else 128 + signal.SIGTERM)
        rest = [json.loads(line) for line in process.stdout.read().splitlines()]
        assert rest[-1]["id"] == 1
        assert rest[-1]["result"]["resultType"] == "complete"
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
