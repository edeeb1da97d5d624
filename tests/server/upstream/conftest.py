"""Real upstream servers to test against: child processes and HTTP servers on loopback."""

import contextlib
import json
import runpy
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from toolcrib_registry.types import HttpTransport, Server, ServerName, SseTransport, StdioTransport

from ...serving import PromptServer

SERVERS = Path(__file__).parent / "servers"
ASKING = SERVERS / "asking.py"


@pytest.fixture
def raw():
    """Describe a plain-Python stdio server in one of its moods."""

    def describe(mode, *, name=None, start_timeout_s=20.0, **env):
        argv = (str(SERVERS / "raw.py"), mode)
        return Server(
            name=ServerName(name or mode),
            transport=StdioTransport(sys.executable, argv, env),
            start_timeout_s=start_timeout_s,
        )

    return describe


@pytest.fixture
def modern():
    """Describe the stdio server that is written with the SDK."""
    transport = StdioTransport(sys.executable, (str(SERVERS / "modern.py"),))
    return Server(name=ServerName("modern"), transport=transport)


class Running:
    """An ASGI application served on loopback by a thread; can be stopped, and another started."""

    def __init__(self, port=0):
        self.socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.socket.getsockname()[1]
        self.server = None
        self.thread = None

    def start(self, app):
        config = uvicorn.Config(
            app, log_level="error", ws="none", timeout_graceful_shutdown=1, lifespan="auto"
        )
        self.server = PromptServer(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if self.thread is not None and self.server is not None:
            self.server.should_exit = True
            self.thread.join(30)
            assert not self.thread.is_alive()
        self.socket.close()

    def http(self, name="web", path="/mcp", **headers):
        url = f"http://127.0.0.1:{self.port}{path}"
        return Server(name=ServerName(name), transport=HttpTransport(url, headers))

    def sse(self, name="sse", path="/sse"):
        url = f"http://127.0.0.1:{self.port}{path}"
        return Server(name=ServerName(name), transport=SseTransport(url))


@pytest.fixture
def serve():
    """Serve ASGI applications until the test ends; ``port`` may be one that was used before."""
    with contextlib.ExitStack() as stack:

        def start(app, port=0):
            running = Running(port)
            stack.callback(running.stop)
            return running.start(app)

        yield start


@pytest.fixture(scope="module")
def asking():
    """The module of servers that ask, and tell of changes."""
    return SimpleNamespace(**runpy.run_path(str(ASKING)))


@pytest.fixture
def describe(asking, serve):
    """Describe the asking server of one kind, each time a new one; it notes in ``memory``."""

    def make(kind, memory=None):
        if "stdio" in kind:
            argv = (str(ASKING), *(["old"] if kind == "stdio" else []))
            return Server(name=ServerName(kind), transport=StdioTransport(sys.executable, argv))
        if kind == "sse":
            return serve(asking.sse(memory)).sse(kind)
        return serve((asking.both_eras if "modern" in kind else asking.old_era)(memory)).http(kind)

    return make


class Scripted:
    """An ASGI application that answers each MCP method as a test says, and notes what it was sent.

    A script is given the decoded request and returns (status, headers, body); a body that is an
    async iterator is streamed. Methods without one are answered as a modern server would.
    """

    def __init__(self, **scripts):
        self.scripts = scripts
        self.requests = []
        self.headers = []

    def methods(self):
        return [request.get("method") for request in self.requests]

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        request = json.loads(body) if body else {"method": scope["method"]}
        self.requests.append(request)
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        script = self.scripts.get(request["method"].replace("/", "_"), _as_modern)
        status, headers, answer = script(request)
        content = answer if not isinstance(answer, dict) else json.dumps(answer).encode()
        fields = {"content-type": "application/json", **headers}
        raw_headers = [(k.encode(), v.encode()) for k, v in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw_headers})
        if isinstance(content, bytes):
            await send({"type": "http.response.body", "body": content})
            return
        async for chunk in content:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _as_modern(request):
    results = {
        "server/discover": {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "resultType": "complete",
        },
        "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "done"}], "resultType": "complete"},
    }
    return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": results[request["method"]]}


@pytest.fixture
def scripted():
    """The class of scripted applications."""
    return Scripted
