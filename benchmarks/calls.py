"""What a call costs through Toolcrib: an echo tool over loopback, directly and through ``/mcp``.

Three processes, as in life: the upstream, Toolcrib, and the clients here. Both sides use the
SDK's client; the figures are ratios of medians taken in turns in one run.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _command
import anyio
import httpx
from mcp import Client

ECHO = '''
import sys
import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", log_level="WARNING")

@server.tool()
def echo(text: str) -> str:
    """Say the text again."""
    return text

uvicorn.run(server.streamable_http_app(), port=int(sys.argv[1]), log_level="warning")
'''
TOOLCRIB = Path(sys.executable).with_name("toolcrib")
ROUNDS = 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Generator[None]:
    child = subprocess.Popen(command, env={**os.environ, **(env or {})})
    try:
        yield
    finally:
        child.terminate()
        child.wait(timeout=20)


def wait_for(url: str, *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{url} did not come up in {timeout_s:g} s")


async def measure(
    url: str, name: str, arguments: dict[str, Any], *, clients: int, calls: int
) -> list[float]:
    """Time each call, in milliseconds, with so many clients calling at once."""
    times: list[float] = []

    async def work() -> None:
        async with Client(url) as client:
            for _ in range(5):
                await client.call_tool(name, arguments)
            for _ in range(calls // clients):
                started = time.perf_counter()
                result = await client.call_tool(name, arguments)
                times.append((time.perf_counter() - started) * 1000)
                if result.is_error or getattr(result.content[0], "text", "") != "hello":
                    raise SystemExit(f"wrong answer through {url}: {result}")

    async with anyio.create_task_group() as tasks:
        for _ in range(clients):
            tasks.start_soon(work)
    return times


def run(calls: int) -> dict[str, Any]:
    upstream, port = free_port(), free_port()
    direct = f"http://127.0.0.1:{upstream}/mcp"
    through = f"http://127.0.0.1:{port}/mcp"
    with tempfile.TemporaryDirectory() as folder:
        env = {"TOOLCRIB_DATA_DIR": folder, "TOOLCRIB_SYNC_INTERVAL_S": "0"}
        with process(sys.executable, "-c", ECHO, str(upstream)):
            wait_for(direct)
            subprocess.run(
                [TOOLCRIB, "add", "echo", "--url", direct], env={**os.environ, **env}, check=True
            )
            with process(str(TOOLCRIB), "serve", "--port", str(port), env=env):
                wait_for(f"http://127.0.0.1:{port}/readyz")
                return {str(n): compare(direct, through, clients=n, calls=calls) for n in (1, 8)}


def compare(direct: str, through: str, *, clients: int, calls: int) -> dict[str, float]:
    call = {"name": "echo__echo", "arguments": {"text": "hello"}}
    taken: dict[str, list[float]] = {"direct": [], "through": []}
    for _ in range(ROUNDS):
        taken["direct"] += anyio.run(
            lambda: measure(direct, "echo", {"text": "hello"}, clients=clients, calls=calls)
        )
        taken["through"] += anyio.run(
            lambda: measure(through, "call_tool", call, clients=clients, calls=calls)
        )
    medians = {key: statistics.median(values) for key, values in taken.items()}
    return {
        "direct_p50_ms": round(medians["direct"], 2),
        "through_p50_ms": round(medians["through"], 2),
        "ratio": round(medians["through"] / medians["direct"], 2),
        "calls": len(taken["through"]),
    }


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=200, help="calls a round")
    args = parser.parse_args()
    figures = run(args.calls)
    for clients, figure in figures.items():
        print(
            f"{clients} client(s): direct {figure['direct_p50_ms']} ms, through Toolcrib "
            f"{figure['through_p50_ms']} ms, ratio {figure['ratio']} ({figure['calls']} calls)"
        )
    _command.write(figures, args.json)


if __name__ == "__main__":
    _command.run(main)
