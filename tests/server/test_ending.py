"""SIGTERM ends what serves soon, whatever its threads are at, and what was done is written down."""

import signal
import subprocess
import sys

import pytest
from mcp.client import Client

from toolcrib_migrations import open_store
from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.settings import Settings

pytestmark = pytest.mark.anyio
CLOCK = """
from mcp.server import MCPServer
server = MCPServer("clock")
@server.tool()
def now() -> str:
    return "noon"
server.run("stdio")
"""
SERVING = """
import sys, time
from pathlib import Path
import anyio
from toolcrib_server.asgi import bind, serve
from toolcrib_server.runtime import open_runtime
from toolcrib_server.settings import Settings

def open_encoder():
    print("opening", flush=True)
    time.sleep(600)  # as a thread that builds an index, it cannot be woken

async def main():
    settings = Settings(data_dir=Path(sys.argv[1]), port=0)
    listener = bind(settings)
    print(listener.getsockname()[1], flush=True)
    async with open_runtime(settings, open_encoder=open_encoder) as runtime:
        await serve(runtime, listener)

anyio.run(main)
"""
SOON_S = 10.0
"""Two seconds are meant; on a machine with much else to do it may take a few more."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to be asked by")
async def test_an_index_in_the_making_delays_no_end_and_calls_are_written_down(tmp_path):
    settings = Settings(data_dir=tmp_path)
    store = open_store(settings.store_url)
    clock = StdioTransport(sys.executable, ("-c", CLOCK))
    store.add_server(Server(name=ServerName("clock"), transport=clock), actor="test")
    command = [sys.executable, "-c", SERVING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:  # noqa: ASYNC220
        try:
            assert serving.stdout is not None
            port = int(serving.stdout.readline())
            assert serving.stdout.readline() == "opening\n"
            async with Client(f"http://127.0.0.1:{port}/servers/clock/mcp") as client:
                assert (await client.call_tool("now", {})).content
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(SOON_S) == 0
        finally:
            serving.kill()
    assert "tool:clock/now" in {call.subject for call in store.list_calls()}
    assert not store.list_leases()
    store.close()
