"""An upstream that misbehaves when it is asked to: each call names the fault that it is to meet.

Usage: _faulty.py FOLDER stdio [handshake] | _faulty.py FOLDER http PORT [handshake]. At any path
``/{name}/mcp`` is a server of its own, with one tool, ``echo(token, fault, once)``, or 10,000 if
its name is "many". What is to go wrong once is noted in the folder, which outlives a crash. Written
on bare sockets and pipes, for no library would do these things.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
MANY = 10_000
PAGE = 1_000
HUGE_BYTES = 32 * 1024 * 1024
DRIP_S = 2.0
DOWN_S = 0.3
FAULTS = (
    "hang",
    "crash",
    "drip",
    "wrong-id",
    "twice",
    "noise",
    "huge",
    "half-closed",
    "cut",
    "error-500",
    "lost-session",
)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SESSION = re.compile(rb"\r\nmcp-session-id: *(\S+)", re.IGNORECASE)

Write = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """What is common to both transports."""

    memory: Path
    handshake: bool
    sessions: set[str] = field(default_factory=set[str])

    def reply(self, message: dict[str, Any], name: str) -> dict[str, Any]:
        """Answer as a server that has no fault."""
        params = message.get("params", {})
        match message["method"]:
            case "server/discover" if not self.handshake:
                result = self._greeting() | {"supportedVersions": [MODERN], "ttlMs": 60_000}
            case "initialize":
                result = self._greeting() | {"protocolVersion": HANDSHAKE}
            case "tools/list":
                result = page(many=name == "many", cursor=params.get("cursor"))
            case "tools/call":
                token = params["arguments"]["token"]
                result = {"content": [{"type": "text", "text": token}], "isError": False}
            case "ping":
                result = {}
            case method:
                error = {"code": -32601, "message": f"no method {method}"}
                return {"jsonrpc": "2.0", "id": message["id"], "error": error}
        if not self.handshake:
            result = {"resultType": "complete", "cacheScope": "public", **result}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def fault_of(self, message: dict[str, Any]) -> str:
        """Say which fault a message is to meet; none a second time, if it asks for one once."""
        if message.get("method") != "tools/call":
            return ""
        arguments = message["params"]["arguments"]
        fault = str(arguments.get("fault", ""))
        if fault and arguments.get("once"):
            note = self.memory / arguments["token"]
            if note.exists():
                return ""
            note.touch()
        return fault

    def _greeting(self) -> dict[str, Any]:
        info = {"name": "faulty", "version": "1"}
        return {"capabilities": {"tools": {}}, "serverInfo": info}


def page(*, many: bool, cursor: str | None) -> dict[str, Any]:
    """List one page of tools."""
    first = int(cursor or 0)
    count = MANY if many else 1
    tools = [tool(number) for number in range(first, min(first + PAGE, count))]
    onward = {"nextCursor": str(first + PAGE)} if first + PAGE < count else {}
    return {"tools": tools, "ttlMs": 60_000, **onward}


def tool(number: int) -> dict[str, Any]:
    return {
        "name": f"echo_{number}" if number else "echo",
        "description": f"Say token {number} again." if number else "Say a token again.",
        "annotations": {"readOnlyHint": True, "idempotentHint": True},
        "inputSchema": {
            "type": "object",
            "properties": {
                "token": {"type": "string"},
                "fault": {"type": "string"},
                "once": {"type": "boolean"},
            },
            "required": ["token"],
        },
    }


def garble(reply: dict[str, Any], fault: str) -> dict[str, Any]:
    """Put into an answer what is wrong with it."""
    if fault == "wrong-id":
        return {**reply, "id": 999_999_999}
    if fault == "huge":
        text = "x" * HUGE_BYTES
        return {**reply, "result": {**reply["result"], "content": [{"type": "text", "text": text}]}}
    return reply


async def drip(write: Write, body: bytes) -> None:
    """Write a few bytes at a time."""
    size = max(1, len(body) // 20)
    for start in range(0, len(body), size):
        await write(body[start : start + size])
        await asyncio.sleep(DRIP_S / 20)


# --- stdio ---------------------------------------------------------------------------------------

NOISE = (b"Listening on port 3000\n", b"{\n", b'{"jsonrpc":"2.0"}\n', b"[]\n", b"\xff\xfe\n", b"\n")


async def serve_stdio(server: Server) -> None:
    """Answer each line in a task of its own, until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            message = json.loads(line)
            if "id" in message and "method" in message:
                tasks.create_task(answer_line(server, message, lock))


async def answer_line(server: Server, message: dict[str, Any], lock: asyncio.Lock) -> None:
    """Answer one line, as its fault wants it."""
    fault = server.fault_of(message)
    line = json.dumps(garble(server.reply(message, ""), fault)).encode() + b"\n"
    if fault == "hang":
        await asyncio.Event().wait()
    async with lock:
        if fault in {"crash", "cut"}:
            await write_out(line[: len(line) // 2])
            os._exit(3)
        if fault == "half-closed":
            os.close(1)
            return
        for part in NOISE if fault == "noise" else ():
            await write_out(part)
        await (drip(write_out, line) if fault == "drip" else write_out(line))
        if fault == "twice":
            await write_out(line)


async def write_out(data: bytes) -> None:
    """Write everything, in a thread, for a pipe may be full."""

    def write() -> None:
        with contextlib.suppress(OSError):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(1, rest) :]

    await asyncio.to_thread(write)


# --- HTTP ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request."""

    method: str
    name: str
    session: str
    message: dict[str, Any]


class Connection:
    """Answers the requests of one client connection, one after the other."""

    def __init__(
        self,
        server: Server,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        crash: Callable[[], None],
    ) -> None:
        """Serve on a connection; ``crash`` takes all of them down."""
        self._server = server
        self._reader, self._writer = streams
        self._crash = crash

    async def serve(self) -> None:
        """Serve until it is closed."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self._answer(await self._read())
        self._writer.close()

    async def _read(self) -> Asked:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length, session = _LENGTH.search(head), _SESSION.search(head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        method, path, *_ = head.split(b" ", 2)
        return Asked(
            method.decode(),
            path.decode().strip("/").partition("/")[0],
            session[1].decode() if session else "",
            json.loads(body) if body else {},
        )

    async def _answer(self, asked: Asked) -> None:
        message, server = asked.message, self._server
        method = message.get("method")
        if asked.method != "POST":
            await self._send(200 if asked.method == "DELETE" else 405, b"")
        elif server.handshake and method == "server/discover":
            await self._send(400, b"Bad Request: Missing session ID", kind="text/plain")
        elif server.handshake and method != "initialize" and asked.session not in server.sessions:
            await self._send(404, b"Session not found", kind="text/plain")
        elif "id" not in message:
            await self._send(202, b"")
        else:
            await self._answer_request(asked, server.fault_of(message))

    async def _answer_request(self, asked: Asked, fault: str) -> None:
        reply = garble(self._server.reply(asked.message, asked.name), fault)
        extra = b""
        if asked.message["method"] == "initialize":
            session = uuid.uuid4().hex
            self._server.sessions.add(session)
            extra = f"mcp-session-id: {session}\r\n".encode()
        body = json.dumps(reply).encode()
        await self._misbehave(fault, body, extra)

    async def _misbehave(self, fault: str, body: bytes, extra: bytes) -> None:
        match fault:
            case "hang":
                await self._reader.read(1)
                raise ConnectionError
            case "crash" | "cut":
                self._writer.write(head(200, len(body)) + body[: len(body) // 2])
                await self._writer.drain()
                if fault == "crash":
                    self._crash()
                cast("asyncio.Transport", self._writer.transport).abort()
                raise ConnectionError
            case "half-closed":
                self._writer.write_eof()
                await self._reader.read(1)
                raise ConnectionError
            case "drip":
                await self._write(head(200, len(body)))
                await drip(self._write, body)
            case "noise" | "twice":
                await self._stream(fault, body)
            case "error-500":
                await self._send(500, b"Traceback (most recent call last): ...", kind="text/plain")
            case "lost-session":
                self._server.sessions.clear()
                await self._send(404, b"Session not found", kind="text/plain")
            case _:
                await self._send(200, body, extra=extra)

    async def _stream(self, fault: str, body: bytes) -> None:
        events = [b": keep-alive\n\n", b"event: nothing\ndata: {}\n\n", b"data: {not json\n\n"]
        answer = b"event: message\ndata: " + body + b"\n\n"
        parts = [answer, answer] if fault == "twice" else [*events, answer]
        await self._send(200, b"".join(parts), kind="text/event-stream")

    async def _send(
        self, status: int, body: bytes, *, kind: str = "application/json", extra: bytes = b""
    ) -> None:
        await self._write(head(status, len(body), kind=kind, extra=extra) + body)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def head(status: int, length: int, *, kind: str = "application/json", extra: bytes = b"") -> bytes:
    lines = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n"
    return lines.encode() + extra + b"\r\n"


class Port:
    """Listens; a crash ends every connection and session, and for a moment nobody is there."""

    def __init__(self, server: Server, port: int) -> None:
        """Serve on a port of this machine."""
        self._server = server
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self._crashed = asyncio.Event()

    async def serve(self) -> None:
        """Serve until ended."""
        while True:
            self._crashed.clear()
            async with await asyncio.start_server(
                self._serve_one, "127.0.0.1", self._port, limit=16 * 1024 * 1024
            ):
                await self._crashed.wait()
            await asyncio.sleep(DOWN_S)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await Connection(self._server, (reader, writer), self._crash).serve()
        finally:
            self._open.discard(writer)

    def _crash(self) -> None:
        self._server.sessions.clear()
        for writer in self._open:
            cast("asyncio.Transport", writer.transport).abort()
        self._crashed.set()


def main() -> None:
    """Serve until ended."""
    server = Server(Path(sys.argv[1]), handshake="handshake" in sys.argv)
    if sys.argv[2] == "stdio":
        asyncio.run(serve_stdio(server))
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Port(server, int(sys.argv[3])).serve())


if __name__ == "__main__":
    main()
