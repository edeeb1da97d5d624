"""A model provider for tests: a real HTTP server that answers, or fails in the way it is asked to.

The name of the model says how: ``ok`` answers, every other mood is a fault that providers have.
As a program (``python -m toolcrib_server.upstream.models.testing PORT``) it stands for a local one.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import anyio.abc

WORDS = ("Hello", " from", " a", " small", " model.")
_SENT = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
_HOST = "127.0.0.1"
_SAYS = "says:"
_FAULTS: dict[str, tuple[str, dict[str, str], Mapping[str, Any]]] = {
    "rate-limited": (
        "429 Too Many Requests",
        {"retry-after": "30"},
        {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    ),
    "overloaded": (
        "503 Service Unavailable",
        {"retry-after": "2"},
        {"error": {"message": "Overloaded"}},
    ),
    "odd-wait": (
        "429 Too Many Requests",
        {"retry-after": f"Thu, 01 Jan 2026 00:00:00 +{'9' * 20}"},
        {"error": {"message": "Slow down"}},
    ),
    "broken": ("500 Internal Server Error", {}, {"error": {"message": "Out of memory"}}),
    "forbidden": ("401 Unauthorized", {}, {"error": {"message": "Wrong key"}}),
    "unknown": ("404 Not Found", {}, {"error": {"message": "No such model"}}),
    "too-long": (
        "400 Bad Request",
        {},
        {
            "error": {
                "message": "This model's maximum context length is 8 tokens.",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    ),
    "refuses": (
        "400 Bad Request",
        {},
        {"error": {"message": "temperature is not supported", "param": "temperature"}},
    ),
    "redirects": ("307 Temporary Redirect", {"location": "file:///etc/passwd"}, {}),
    "elsewhere": ("307 Temporary Redirect", {"location": "http://192.0.2.1/v1"}, {}),
}


@dataclass(slots=True)
class Provider:
    """A served provider: where it is, and the requests that came."""

    port: int
    requests: list[tuple[str, Mapping[str, str], Mapping[str, Any]]] = field(
        default_factory=list[tuple[str, Mapping[str, str], Mapping[str, Any]]]
    )
    """Path, headers and body of each."""
    connections: int = 0
    """How many were opened."""
    open: int = 0
    """How many its clients have not closed."""

    @property
    def url(self) -> str:
        """The base of its API."""
        return f"http://{_HOST}:{self.port}/v1"

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        """The bodies that were POSTed."""
        return [body for _, _, body in self.requests if body]

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        """Answer one connection's requests."""
        self.connections += 1
        self.open += 1
        try:
            async with stream:
                with suppress(
                    anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError
                ):
                    await _Connection(self, stream).run()
        finally:
            self.open -= 1


@asynccontextmanager
async def open_provider(port: int = 0) -> AsyncGenerator[Provider]:
    """Serve a provider on loopback for the length of a block."""
    listener = await anyio.create_tcp_listener(local_host=_HOST, local_port=port)
    provider = Provider(listener.extra_attributes[anyio.abc.SocketAttribute.local_port]())
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, provider.serve)
        yield provider
        tasks.cancel_scope.cancel()


class _Connection:
    def __init__(self, provider: Provider, stream: anyio.abc.SocketStream) -> None:
        self._provider = provider
        self._stream = stream
        self._open = b""

    async def run(self) -> None:
        while True:
            path, headers, body = await self._read()
            self._provider.requests.append((path, headers, body))
            if not await self._answer(path, headers, body):
                return

    async def _read(self) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
        while b"\r\n\r\n" not in self._open:
            self._open += await self._stream.receive()
        head, _, rest = self._open.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", "0"))
        parts = bytearray(rest)
        while len(parts) < size:
            parts += await self._stream.receive()
        self._open = bytes(parts[size:])
        body: Mapping[str, Any] = json.loads(parts[:size]) if size else {}
        return first.split(" ")[1], headers, body

    async def _answer(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> bool:
        mood = str(body.get("model", "ok"))
        if mood in _FAULTS:
            status, more, content = _FAULTS[mood]
            return await self._send(status, json.dumps(content), more)
        if path == "/health":
            return await self._send("200 OK", "{}")
        if path.endswith("/models"):
            return await self._send("200 OK", json.dumps({"data": [{"id": "ok"}, {"id": "big"}]}))
        if path.endswith("/embeddings"):
            return await self._send("200 OK", json.dumps(_embedding(body)))
        if mood == "hangs":
            await self._stream.receive()  # until the client leaves, which raises
        if mood == "drops":
            return False
        if body.get("stream") and mood != "ignores-stream":
            return await self._stream_answer(mood, body, headers)
        return await self._send_whole(mood, headers)

    async def _send_whole(self, mood: str, headers: Mapping[str, str]) -> bool:
        answer = _answer(mood, headers)
        if mood.startswith(_SAYS):
            answer["choices"][0]["message"]["content"] = self._next_of(mood)
        text = json.dumps(answer)
        match mood:
            case "garbage":
                text = '{"choices": [nonsense'
            case "html":
                return await self._send("200 OK", "<html></html>", {"content-type": "text/html"})
            case "cut":
                await self._stream.send(_head("200 OK", {"content-length": "9999"}))
                await self._stream.send(text.encode())
                return False
            case "endless":
                await self._stream.send(_head("200 OK", {"transfer-encoding": "chunked"}))
                while True:
                    await self._stream.send(_chunk("x" * 65536))
            case "empty":
                text = '{"choices": []}'
            case "error-in-answer":
                text = json.dumps({"error": {"message": "Busy", "code": 503}})
            case _:
                pass
        return await self._send("200 OK", text)

    def _next_of(self, mood: str) -> str:
        """Say what is next in ``says:one|two``, the first again after the last."""
        texts = mood.removeprefix(_SAYS).split("|")
        asked = sum(body.get("model") == mood for body in self._provider.bodies)
        return texts[(asked - 1) % len(texts)]

    async def _stream_answer(
        self, mood: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> bool:
        options: Mapping[str, Any] = body.get("stream_options") or {}
        if mood == "no-options" and options:
            return await self._send(
                "400 Bad Request", json.dumps({"error": {"message": "unknown: stream_options"}})
            )
        start = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        await self._stream.send(_head("200 OK", start))
        async for event in _events(mood, headers, with_usage=bool(options.get("include_usage"))):
            await self._stream.send(_chunk(event))
        if mood.startswith("cut"):
            return False
        await self._stream.send(b"0\r\n\r\n")
        return True

    async def _send(self, status: str, text: str, headers: Mapping[str, str] | None = None) -> bool:
        body = text.encode()
        told = {"content-type": "application/json", "content-length": str(len(body))}
        await self._stream.send(_head(status, told | dict(headers or {})) + body)
        return True


async def _events(mood: str, headers: Mapping[str, str], *, with_usage: bool) -> AsyncIterator[str]:
    yield _event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    if mood == "cut-early":
        return
    while mood == "tokenless":
        yield _event({"choices": [{"index": 0, "delta": {"content": ""}}]})
    if mood == "error-early":
        yield _event({"error": {"message": "Busy", "code": 503}})
        return
    words = (_key(headers),) if mood == "echoes-key" else WORDS
    for number, word in enumerate(words):
        yield _event({"choices": [{"index": 0, "delta": {"content": word}}]})
        if number == 1:
            async for fault in _stream_faults(mood):
                yield fault
            if mood in {"cut", "error-in-stream"}:
                return
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if with_usage:
        usage = {"prompt_tokens": -5, "completion_tokens": "many"} if mood == "usage" else _SENT
        yield _event({"choices": [], "usage": usage})
    if mood != "no-done":
        yield "data: [DONE]\n\n"


async def _stream_faults(mood: str) -> AsyncIterator[str]:
    match mood:
        case "error-in-stream":
            yield _event({"error": {"message": "Out of memory"}})
        case "garbage":
            yield "data: {nonsense\n\n"
        case "huge-line":
            for _ in range(200):
                yield "data: " if _ == 0 else "x" * 65536
        case "endless":
            while True:
                yield _event({"choices": [{"index": 0, "delta": {"content": "more "}}]})
        case "comments":
            while True:
                yield ": still here\n\n"
                await anyio.sleep(0.01)
        case "stalls":
            await anyio.sleep_forever()
        case _:
            pass


def _answer(mood: str, headers: Mapping[str, str]) -> dict[str, Any]:
    text = _key(headers) if mood == "echoes-key" else "".join(WORDS)
    message = {"role": "assistant", "content": text}
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": mood,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _SENT,
    }
    if mood == "usage":
        answer["usage"] = {"prompt_tokens": -5, "completion_tokens": "many"}
    if mood == "no-usage":
        del answer["usage"]
    if mood == "no-tokens":
        answer["usage"] = {"prompt_tokens": 0, "completion_tokens": 0}
    if mood == "no-number":
        answer["score"] = math.nan
    return answer


def _embedding(body: Mapping[str, Any]) -> dict[str, Any]:
    given = body.get("input")
    count = len(cast("list[Any]", given)) if isinstance(given, list) else 1
    if body.get("model") == "too-few":
        count -= 1
    data = [{"object": "embedding", "index": i, "embedding": [0.6, 0.8]} for i in range(count)]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}


def _key(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "")


def _event(content: Mapping[str, Any]) -> str:
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**whole, **content})}\n\n"


def _chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def _head(status: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _serve_until_told(port: int) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_provider(port):
            async for _ in signals:
                return


if __name__ == "__main__":
    anyio.run(_serve_until_told, int(sys.argv[1]))
