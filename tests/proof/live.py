"""A real HTTP server of many MCP servers, one at each path, whose lists change while it runs.

It says who asked for what and when, and can keep an answer back: so that it is seen from outside
when two processes list one server at the same time.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import uvicorn

WORKER_HEADER = "x-worker"
_PAGE = 4
_HELD_S = 60.0


@dataclass(slots=True)
class Asked:
    """One listing of one server by one worker: from its first page to its last."""

    server: str
    worker: str
    began_s: float
    ended_s: float = float("inf")


@dataclass(slots=True)
class LiveUpstream:
    """Serves ``lists`` (server name to tools) on loopback, in a thread of its own."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    page_delay_s: float = 0.0
    asked: list[Asked] = field(default_factory=list[Asked])
    held: dict[str, threading.Event] = field(default_factory=dict[str, threading.Event])
    """Workers whose last page is kept back until their event is set."""
    reached: dict[str, threading.Event] = field(default_factory=dict[str, threading.Event])
    """Set when a held worker has come to its last page."""
    port: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self, log_level="critical", ws="none", lifespan="off")
        config.timeout_graceful_shutdown = 1
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        for event in self.held.values():
            event.set()
        self._server.should_exit = True
        self._thread.join(30)

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.port}/{server}/mcp"

    def hold(self, worker: str) -> threading.Event:
        """Keep back the last page of this worker's next listing; returns what lets it go."""
        self.reached[worker] = threading.Event()
        self.held[worker] = threading.Event()
        return self.held[worker]

    def overlaps(self, *, since_s: float = 0.0) -> list[tuple[Asked, Asked]]:
        """Pairs of listings of one server by two workers that were under way together."""
        asked = sorted((a for a in self.asked if a.began_s >= since_s), key=lambda a: a.began_s)
        return [
            (one, other)
            for number, one in enumerate(asked)
            for other in asked[number + 1 :]
            if one.server == other.server
            and one.worker != other.worker
            and other.began_s < one.ended_s
        ]

    # --- answering -----------------------------------------------------------------------------

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = await _read(receive)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        server = scope["path"].strip("/").split("/")[0]
        status, body = await self._answer(server, headers.get(WORKER_HEADER, ""), request)
        content = b"" if body is None else json.dumps(body).encode()
        fields = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    async def _answer(
        self, server: str, worker: str, request: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any] | None]:
        method, number = request.get("method"), request.get("id")
        if number is None:
            return 202 if method else 405, None
        envelope = {"jsonrpc": "2.0", "id": number}
        match method:
            case "server/discover":
                offered = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
                return 200, {**envelope, "result": {**offered, "resultType": "complete"}}
            case "tools/list":
                page = await self._list(server, worker, request.get("params") or {})
                return 200, {**envelope, "result": {**page, "resultType": "complete"}}
            case _:
                error = {"code": -32601, "message": f"no method {method}"}
                return 200, {**envelope, "error": error}

    async def _list(self, server: str, worker: str, params: Mapping[str, Any]) -> dict[str, Any]:
        start = int(params.get("cursor") or 0)
        if not start:
            self.asked.append(Asked(server, worker, time.monotonic()))
        mine = next(a for a in reversed(self.asked) if (a.server, a.worker) == (server, worker))
        tools = self.lists.get(server, [])
        if self.page_delay_s:
            await anyio.sleep(self.page_delay_s)
        page: dict[str, Any] = {"tools": tools[start : start + _PAGE]}
        if start + _PAGE < len(tools):
            return {**page, "nextCursor": str(start + _PAGE)}
        await self._wait(worker)
        mine.ended_s = time.monotonic()
        return page

    async def _wait(self, worker: str) -> None:
        event = self.held.get(worker)
        if event is not None and not event.is_set():
            self.reached[worker].set()
            await anyio.to_thread.run_sync(event.wait, _HELD_S)


async def _read(receive: Any) -> Mapping[str, Any]:
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return json.loads(body) if body else {}
