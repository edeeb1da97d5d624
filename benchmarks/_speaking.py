"""A client that says exactly what it was answered: bare messages over HTTP, in either era.

The SDK's client would hide what went wrong, and cost more than what is measured.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
META = "io.modelcontextprotocol/"
INFO = {"name": "bench", "version": "1"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call."""

    kind: str
    """"ok", "tool error", "rpc N", "http N", "deadline", "cut off", or "wrong id"."""
    text: str = ""
    """Of a result: what it says; of an error: its message."""
    seconds: float = 0.0


@dataclass(slots=True)
class Speaker:
    """One client of one server."""

    http: httpx.AsyncClient
    url: str
    version: str = MODERN
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _session: dict[str, str] = field(default_factory=dict[str, str])

    async def open(self) -> None:
        """Shake hands, where the era asks for that.

        Raises:
            SystemExit: The server would not.
        """
        if self.version != HANDSHAKE:
            return
        params = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": INFO}
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": "initialize"}
        response = await self.http.post(
            self.url, json={**message, "params": params}, headers=self._headers("initialize", {})
        )
        session = response.headers.get("mcp-session-id")
        if response.is_error:
            raise SystemExit(f"{self.url} shook no hands: {response.status_code} {response.text}")
        if session:
            self._session["mcp-session-id"] = session
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self.http.post(self.url, json=note, headers=self._headers("", {}))

    async def call(self, arguments: Mapping[str, Any], *, timeout_s: float) -> Answer:
        """Call the tool ``echo``."""
        params = {"name": "echo", "arguments": dict(arguments)}
        return await self.ask("tools/call", params, timeout_s=timeout_s)

    async def ask(self, method: str, params: dict[str, Any], *, timeout_s: float) -> Answer:
        """Send a request; whatever comes of it is an answer."""
        number, started = next(self._ids), time.perf_counter()
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": self._full(params)}
        try:
            response = await self.http.post(
                self.url, json=message, headers=self._headers(method, params), timeout=timeout_s
            )
            answer = read(response, number)
        except httpx.TimeoutException:
            answer = Answer("deadline")
        except httpx.TransportError as error:
            answer = Answer("cut off", str(error) or type(error).__name__)
        return Answer(answer.kind, answer.text, time.perf_counter() - started)

    async def result(
        self, method: str, params: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Send a request that is to succeed; return its result, whatever it is.

        Raises:
            SystemExit: It did not.
        """
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": self._full(params)}
        response = await self.http.post(
            self.url, json=message, headers=self._headers(method, params), timeout=timeout_s
        )
        for one in messages_of(response):
            if one.get("id") == number and "result" in one:
                return one["result"]
        raise SystemExit(f"{method}: {response.status_code} {response.text[:300]}")

    def _full(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.version == HANDSHAKE:
            return params
        meta = {"protocolVersion": self.version, "clientInfo": INFO, "clientCapabilities": {}}
        return {**params, "_meta": {f"{META}{key}": value for key, value in meta.items()}}

    def _headers(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        headers = {"accept": "application/json, text/event-stream", **self._session}
        if method != "initialize":
            headers["mcp-protocol-version"] = self.version
        if self.version != HANDSHAKE and method:
            headers["mcp-method"] = method
            if "name" in params:
                headers["mcp-name"] = params["name"]
        return headers


def read(response: httpx.Response, number: int) -> Answer:
    """Read the answer to a request out of a response, however it comes."""
    messages = messages_of(response)
    for one in messages:
        if one.get("id") == number or ("error" in one and one.get("id") is None):
            return judge(one)
    if messages:
        return Answer("wrong id", json.dumps(messages)[:200])
    return Answer(f"http {response.status_code}", response.text[:200])


def messages_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Read every answer in a response."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    texts = list(events(response.text)) if is_stream else [response.text]
    return [one for one in map(parse, texts) if "result" in one or "error" in one]


def events(stream: str) -> Iterator[str]:
    """Give the data of each event."""
    for event in stream.replace("\r\n", "\n").split("\n\n"):
        lines = (line for line in event.split("\n") if line.startswith("data:"))
        yield "\n".join(line.removeprefix("data:").strip() for line in lines)


def parse(text: str) -> dict[str, Any]:
    """Read a JSON object; an empty one if it is none."""
    try:
        message: Any = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", message) if isinstance(message, dict) else {}


def judge(message: Mapping[str, Any]) -> Answer:
    """Say in a word what a message answers."""
    if "error" in message:
        return Answer(f"rpc {message['error']['code']}", str(message["error"]["message"]))
    result = message["result"]
    content: list[dict[str, Any]] = result.get("content") or [{}]
    text = str(content[0].get("text", ""))
    return Answer("tool error" if result.get("isError") else "ok", text)
