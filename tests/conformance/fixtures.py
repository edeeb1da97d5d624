"""Runs the suite's fixtures server over HTTP or stdio; on request it knows only one era.

Usage: fixtures.py http [handshake|modern] | fixtures.py stdio; the folder that holds it is on
PYTHONPATH. Over HTTP it says where it listens.
"""

from __future__ import annotations

import importlib
import json
import logging
import socket
import sys
from typing import Any, cast

import uvicorn
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Receive, Scope, Send

VERSION_HEADER = b"mcp-protocol-version"
INVALID_REQUEST = -32600


class OneEra:
    """Refuses requests of the other era, as servers of that era do."""

    def __init__(self, app: ASGIApp, era: str) -> None:
        """Let only one ``era`` through: "handshake" or "modern"."""
        self._app = app
        self._is_modern = era == "modern"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        version = dict(scope["headers"]).get(VERSION_HEADER, b"").decode("latin-1")
        if (version in MODERN_PROTOCOL_VERSIONS) is self._is_modern:
            await self._app(scope, receive, send)
        elif scope["method"] != "POST" and self._is_modern:
            await answer(send, 405, b"")
        else:
            await answer(send, 400, json.dumps(self._refusal(version)).encode())

    def _refusal(self, version: str) -> dict[str, Any]:
        if self._is_modern:
            data = {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": version}
            error = {"code": UNSUPPORTED_PROTOCOL_VERSION, "message": "Unsupported", "data": data}
        else:
            known = ", ".join(HANDSHAKE_PROTOCOL_VERSIONS)
            said = f"Bad Request: Unsupported protocol version: {version}. Supported: {known}"
            error = {"code": INVALID_REQUEST, "message": said}
        return {"jsonrpc": "2.0", "id": None, "error": error}


async def answer(send: Send, status: int, body: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve_http(module: Any, era: str | None) -> None:
    """Serve on a free port of loopback, with what the server's own command line sets."""
    app: Any = module.mcp.streamable_http_app(
        event_store=module.event_store, retry_interval=100, host="127.0.0.1"
    )
    whole = cast("ASGIApp", OneEra(app, era) if era else app)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(whole, log_level="warning")).run([listening])


def main() -> None:
    """Serve until it is ended."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    module: Any = importlib.import_module("mcp_everything_server.server")
    if sys.argv[1] == "stdio":
        module.mcp.run("stdio")
    else:
        serve_http(module, next(iter(sys.argv[2:]), None))


if __name__ == "__main__":
    main()
