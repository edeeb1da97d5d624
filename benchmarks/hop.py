"""What the hop to an upstream costs Toolcrib: processor time of a call of an echo tool over HTTP.

The pool alone calls the SDK's server over loopback, in both eras, answered in JSON and as events:
the least that any call through Toolcrib takes on that side.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

import _command
import anyio
from calls import free_port, wait_for

from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.upstream.pool.pool import ConnectionPool

ECHO = '''
import sys
import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", log_level="WARNING")

@server.tool()
def echo(text: str) -> str:
    """Say the text again."""
    return text

class Old:
    """The same server, as if it knew the handshake alone."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and headers.get(b"mcp-protocol-version") == b"2026-07-28":
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)

app = server.streamable_http_app(json_response=sys.argv[2] == "json")
app = Old(app) if sys.argv[3] == "handshake" else app
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
'''
CLIENTS = (1, 32)


async def measure(url: str, *, clients: int, calls: int) -> dict[str, float]:
    server = Server(name=ServerName("echo"), transport=HttpTransport(url))
    times: list[float] = []

    async def work(pool: ConnectionPool, count: int) -> None:
        for _ in range(count):
            started = time.perf_counter()
            answer: Any = await pool.call_tool(server, "echo", {"text": "hello"}, timeout_s=60)
            times.append((time.perf_counter() - started) * 1000)
            if answer["content"][0]["text"] != "hello":
                raise SystemExit(f"wrong answer: {answer}")

    async with ConnectionPool() as pool:
        await work(pool, 20)
        times.clear()
        cpu = time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(clients):
                tasks.start_soon(work, pool, calls // clients)
        cpu = time.process_time() - cpu
    return {
        "cpu_ms": round(cpu / len(times) * 1000, 3),
        "p50_ms": round(statistics.median(times), 2),
    }


def run(calls: int) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for answers in ("json", "events"):
        for era in ("2026-07-28", "handshake"):
            port = free_port()
            argv = [sys.executable, "-c", ECHO, str(port), answers, era]
            with subprocess.Popen(argv) as upstream:
                try:
                    url = f"http://127.0.0.1:{port}/mcp"
                    wait_for(url)
                    for clients in CLIENTS:
                        label = f"{answers}, {era}, {clients} clients"
                        figures[label] = anyio.run(
                            lambda url=url, clients=clients: measure(
                                url, clients=clients, calls=calls
                            ),
                            backend_options={"use_uvloop": sys.platform != "win32"},
                        )
                        show(label, figures[label])
                finally:
                    upstream.terminate()
    return figures


def show(label: str, figure: dict[str, float]) -> None:
    cpu_ms, p50_ms = figure["cpu_ms"], figure["p50_ms"]
    print(f"{label:32}{cpu_ms:8.3f} ms of CPU a call, p50 {p50_ms:7.2f} ms", flush=True)


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=1280, help="of each kind (default 1280)")
    args = parser.parse_args()
    figures = run(args.calls)
    _command.write(figures, args.json)


if __name__ == "__main__":
    _command.run(main)
