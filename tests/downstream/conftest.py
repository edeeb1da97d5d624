"""A face over HTTP with the workshop behind it, on a real port, for real clients."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

from toolcrib_registry.errors import NotFound, StoreBusy
from toolcrib_server.downstream.http import HttpFace
from toolcrib_server.downstream.limits import Limits
from toolcrib_server.downstream.testing import Workshop
from toolcrib_server.guard import ApiKey, BodyGuard, KeyGuard, KeyRing

from ..serving import served

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@dataclass
class Bench:
    """The served face, what is behind it, and plain HTTP to it."""

    url: str
    shop: Workshop
    face: HttpFace
    http: httpx.AsyncClient

    @staticmethod
    def modern(method: str, params: Any = None, **more: Any) -> dict[str, Any]:
        """Make a request of 2026-07-28: its body and its headers."""
        return modern(method, params, **more)

    # --- 2026-07-28 ---------------------------------------------------------------------------

    async def call(self, method: str, params: Any = None, **more: Any) -> httpx.Response:
        """Send a request as it should be; ``headers`` and ``meta`` are laid over, None drops."""
        return await self.http.post(self.url, **modern(method, params, **more))

    @asynccontextmanager
    async def stream(self, method: str, params: Any = None, **more: Any):
        """Send such a request and read its answer as it comes."""
        sent = modern(method, params, **more)
        async with self.http.stream("POST", self.url, **sent) as got, events(got) as stream:
            yield got, stream

    # --- the handshake era --------------------------------------------------------------------

    async def shake(self, version="2025-11-25", capabilities=None, **headers) -> dict[str, str]:
        """Begin a session; return the headers of its requests."""
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "old", "version": "1"},
        }
        got = await self.post("initialize", params, headers=headers)
        assert got.status_code == 200, got.text
        session = {"mcp-session-id": got.headers["mcp-session-id"], **headers}
        told = await self.send({"method": "notifications/initialized"}, headers=session)
        assert told.status_code == 202
        return {**session, "mcp-protocol-version": got.json()["result"]["protocolVersion"]}

    async def post(self, method: str, params: Any = None, *, call_id: Any = 1, headers=None):
        """Send a request of the handshake era."""
        message = {"id": call_id, "method": method, "params": params or {}}
        return await self.send(message, headers=headers)

    async def send(self, message: Any, *, headers=None) -> httpx.Response:
        """Send anything."""
        whole = {"jsonrpc": "2.0", **message} if isinstance(message, dict) else message
        return await self.http.post(self.url, json=whole, headers={**ACCEPT, **(headers or {})})

    @asynccontextmanager
    async def post_stream(self, method: str, params: Any = None, *, call_id: Any = 1, headers=None):
        """Send a request of the handshake era and read its answer as it comes."""
        body = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params or {}}
        about = {**ACCEPT, **(headers or {})}
        async with (
            self.http.stream("POST", self.url, json=body, headers=about) as got,
            events(got) as stream,
        ):
            yield got, stream

    @asynccontextmanager
    async def listen(self, headers, **more: str):
        """Open the GET stream of a session."""
        about = {**ACCEPT, **headers, **more}
        async with self.http.stream("GET", self.url, headers=about) as got, events(got) as stream:
            yield got, stream


def modern(
    method: str, params: Any = None, *, call_id: Any = 1, meta=None, headers=None
) -> dict[str, Any]:
    around = {key: value for key, value in {**META, **(meta or {})}.items() if value is not None}
    whole = {**(params or {}), "_meta": around}
    body = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": whole}
    about = {**ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": method}
    name = whole.get("name", whole.get("uri"))
    if isinstance(name, str):
        about["mcp-name"] = name
    shown = {key: value for key, value in {**about, **(headers or {})}.items() if value is not None}
    return {"content": json.dumps(body), "headers": shown}


class Events:
    """The events of a stream: (id, message); of an empty one the message is None."""

    def __init__(self, got: httpx.Response) -> None:
        lines = got.aiter_lines()
        assert isinstance(lines, AsyncGenerator)
        self._lines = lines
        self._id: str | None = None

    async def next(self, *, timeout_s: float = 30) -> tuple[str | None, Any]:
        """Read the next; the end of the stream is (None, None)."""
        with anyio.fail_after(timeout_s):
            async for line in self._lines:
                if line.startswith("id: "):
                    self._id = line[4:]
                elif line.startswith("data:"):
                    said = line[5:].strip()
                    return self._id, json.loads(said) if said else None
        return None, None

    async def rest(self) -> list[Any]:
        """Read all messages that are left."""
        found = []
        while (event := await self.next()) != (None, None):
            found += [event[1]] if event[1] is not None else []
        return found


@asynccontextmanager
async def events(got: httpx.Response):
    stream = Events(got)
    try:
        yield stream
    finally:
        await stream._lines.aclose()


@asynccontextmanager
async def opened_bench(**limits: Any) -> AsyncGenerator[Bench]:
    shop = Workshop()

    async def find(scope):
        if scope["path"] == "/locked":
            raise StoreBusy("The database is locked.")
        if scope["path"].rstrip("/") not in {"/shop", "/other"}:
            raise NotFound("server", scope["path"].strip("/"), near=["shop"])
        return shop

    keys = KeyRing([ApiKey("ada", "a-key"), ApiKey("bob", "b-key")])
    async with HttpFace(find, limits=Limits(**limits)) as face:
        app = KeyGuard(BodyGuard(face), keys=keys)
        async with (
            served(app, lifespan="off") as url,
            httpx.AsyncClient(headers={"authorization": "Bearer a-key"}, timeout=20) as http,
        ):
            yield Bench(f"{url}/shop", shop, face, http)


@pytest.fixture
def open_bench():
    """Open a face with limits of its own."""
    return opened_bench


@pytest.fixture
async def bench() -> AsyncGenerator[Bench]:
    """A face as it is by itself."""
    async with opened_bench() as opened:
        yield opened
