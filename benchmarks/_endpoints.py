"""One process, any number of MCP servers of 2026-07-28 at URLs of their own, as small as they get.

Real HTTP and real JSON-RPC over plain asyncio: discovery, lists and subscriptions, each answered
as the specification wants it, so that what is measured is the other side. A POST to ``/control``
changes what is listed and tells how many connections there are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
CONTROL = "/control"
TTL_MS = 0
METHOD_NOT_FOUND, INVALID_PARAMS, HEADER_MISMATCH = -32601, -32602, -32020
REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 405: "Not Allowed"}


class Endpoint:
    """One MCP server: its tools, and who listens for changes of them."""

    def __init__(self, name: str, tools: list[dict[str, Any]], *, tells: bool) -> None:
        self.name = name
        self.tools = tools
        self.tells = tells
        self.listeners: dict[Connection, Any] = {}
        self._rendered: bytes | None = None

    def change(self, number: int, description: str) -> None:
        """Describe one tool anew, and tell everybody who listens."""
        self.tools[number] = {**self.tools[number], "description": description}
        self._rendered = None
        for connection, id_ in list(self.listeners.items()):
            connection.send_event(notification("notifications/tools/list_changed", id_))

    def answer(self, method: str) -> bytes | None:
        """Return the result of a method as JSON, None for one that it does not have."""
        if method == "tools/list":
            if self._rendered is None:
                self._rendered = encode({**complete(), "tools": self.tools})
            return self._rendered
        if method == "server/discover":
            return encode(
                {
                    **complete(),
                    "supportedVersions": [VERSION],
                    "capabilities": {"tools": {"listChanged": True} if self.tells else {}},
                    "_meta": {f"{META}serverInfo": {"name": self.name, "version": "1.0.0"}},
                }
            )
        if method == "ping":
            return encode({"resultType": "complete"})
        return None


class House:
    """All endpoints, by path."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = {f"/{endpoint.name}/mcp": endpoint for endpoint in endpoints}
        self.requests = 0
        self.open = 0
        self.most_open = 0

    def control(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Change tools (``{"change": [[server, number, description], …]}``); tell the counts."""
        for name, number, description in order.get("change", ()):
            self.endpoints[f"/{name}/mcp"].change(number, description)
        listening = sum(len(endpoint.listeners) for endpoint in self.endpoints.values())
        counts = {
            "requests": self.requests,
            "open": self.open,
            "most_open": self.most_open,
            "listening": listening,
        }
        self.requests, self.most_open = 0, self.open
        return counts


class Connection(asyncio.Protocol):
    """One HTTP connection: requests one after another, kept alive."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._listens_to: Endpoint | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._house.open += 1
        self._house.most_open = max(self._house.most_open, self._house.open)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.open -= 1
        if self._listens_to is not None:
            self._listens_to.listeners.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in map(split, lines)}
            start, length = end + 4, int(headers.get("content-length", 0))
            if len(self._buffer) < start + length:
                return
            body = self._buffer[start : start + length]
            self._buffer = self._buffer[start + length :]
            method, path, _ = first.split(" ")
            self._house.requests += 1
            self.answer(method, path, headers, body)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        endpoint = self._house.endpoints.get(path)
        if path == CONTROL:
            self.send(200, encode(self._house.control(json.loads(body or b"{}"))))
        elif endpoint is None:
            self.send(404, b"")
        elif method != "POST":
            self.send(405, b"")
        else:
            self.answer_rpc(endpoint, headers, json.loads(body))

    def answer_rpc(
        self, endpoint: Endpoint, headers: Mapping[str, str], message: Mapping[str, Any]
    ) -> None:
        if "id" not in message:
            self.send(202, b"")
            return
        id_, method = message["id"], message.get("method", "")
        said = message.get("params", {}).get("_meta", {}).get(f"{META}protocolVersion")
        if said is None:
            self.refuse(400, id_, INVALID_PARAMS, "_meta names no protocol version")
        elif headers.get("mcp-protocol-version") != said or headers.get("mcp-method") != method:
            self.refuse(400, id_, HEADER_MISMATCH, "the headers do not match the body")
        elif method == "subscriptions/listen" and endpoint.tells:
            self.listen(endpoint, id_)
        elif (result := endpoint.answer(method)) is None:
            self.refuse(404, id_, METHOD_NOT_FOUND, f"no method {method}")
        else:
            self.send(200, b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (encode(id_), result))

    def listen(self, endpoint: Endpoint, id_: Any) -> None:
        self._listens_to = endpoint
        endpoint.listeners[self] = id_
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n"
        self.write(head.encode() + b"transfer-encoding: chunked\r\n\r\n")
        self.send_event(
            notification(
                "notifications/subscriptions/acknowledged", id_, {"toolsListChanged": True}
            )
        )

    def send_event(self, message: Mapping[str, Any]) -> None:
        event = b"data: " + encode(message) + b"\n\n"
        self.write(b"%x\r\n%s\r\n" % (len(event), event))

    def refuse(self, status: int, id_: Any, code: int, why: str) -> None:
        error = {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": why}}
        self.send(status, encode(error))

    def send(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
        self.write(head.encode() + b"content-length: %d\r\n\r\n%s" % (len(body), body))

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


def split(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def complete() -> dict[str, Any]:
    return {"resultType": "complete", "ttlMs": TTL_MS, "cacheScope": "public"}


def notification(method: str, id_: Any, honoured: Any = None) -> dict[str, Any]:
    params: dict[str, Any] = {"_meta": {f"{META}subscriptionId": id_}}
    if honoured is not None:
        params["notifications"] = honoured
    return {"jsonrpc": "2.0", "method": method, "params": params}


async def serve(house: House, port: int, *, own_ports: int) -> None:
    """Listen, and say where: a line of ports, the common one first, then one for each server."""
    servers = [await listen(house, port if at == 0 else 0) for at in range(1 + own_ports)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await servers[0].serve_forever()


async def listen(house: House, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(house), "127.0.0.1", port, backlog=4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help='JSON: {"server": [tool, …], …}')
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--own-ports", action="store_true", help="a port more for each server")
    parser.add_argument("--tells", nargs="*", default=(), help="servers that tell of changes")
    args = parser.parse_args()
    listed = json.loads(args.file.read_text())
    tells = set(args.tells)
    house = House([Endpoint(name, tools, tells=name in tells) for name, tools in listed.items()])
    try:
        asyncio.run(serve(house, args.port, own_ports=len(listed) if args.own_ports else 0))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
