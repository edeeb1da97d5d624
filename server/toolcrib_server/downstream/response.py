"""The answer to one HTTP request: JSON when nothing was said meanwhile, else an event stream.

Knows ASGI and how an event is written. Every wait for a client that does not read has an end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import anyio

from toolcrib_registry.types import JsonObject
from toolcrib_server.jsonrpc.text import encode

from .limits import LIMITS

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]
Sent: TypeAlias = JsonObject | list[Any]
"""A message, or several in one."""

KEEP_ALIVE = b": \r\n\r\n"
_JSON: list[Header] = [(b"content-type", b"application/json")]
_EVENTS: list[Header] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_OK = 200


class ClientGone(Exception):
    """The client does not read any more."""


def event(data: bytes, *, event_id: str | None = None) -> bytes:
    """Write one server-sent event. ``data`` is one line."""
    head = b"" if event_id is None else b"id: %s\r\n" % event_id.encode("ascii")
    return b"event: message\r\n%sdata: %s\r\n\r\n" % (head, data)


class Response:
    """Answers one request. The client takes event streams, or nothing but those, or only JSON."""

    def __init__(
        self,
        send: Send,
        *,
        streams: bool = True,
        plain: bool = True,
        headers: Iterable[Header] = (),
        timeout_s: float = LIMITS.send_timeout_s,
    ) -> None:
        self._send = send
        self.streams = streams
        """Whether anything can be said ahead of the answer."""
        self._plain = plain
        self._headers = list(headers)
        self._timeout_s = timeout_s
        self._lock: anyio.Lock | None = None
        self._ended = False
        self._gone = False

    async def say(self, message: JsonObject, *, event_id: str | None = None) -> None:
        """Send a message ahead of the answer. It is lost on a client that takes no streams.

        Raises:
            ClientGone: It does not read.
        """
        await self.write(event(encode(message), event_id=event_id))

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the event stream, which begins with the first.

        Raises:
            ClientGone: The client does not read.
        """
        if self._gone:
            raise ClientGone
        if not self.streams or self._ended:
            return
        begins, lock = self._begin()
        async with lock:
            if self._ended:
                return
            message = {"type": "http.response.body", "body": chunk, "more_body": True}
            await self._put(message, begins=begins)

    async def finish(self, message: Sent, *, status: int = _OK) -> None:
        """Send the answer: the last event of the stream, or all there is.

        Raises:
            ClientGone: The client does not read.
        """
        if self._lock is None and (self._plain or status != _OK):
            return await self.reply(status, encode(message))
        return await self.end(event(encode(message)))

    async def end(self, last: bytes = b"") -> None:
        """End the stream.

        Raises:
            ClientGone: The client does not read.
        """
        begins, lock = self._begin()
        async with lock:
            if self._ended:
                return
            self._ended = True
            await self._put({"type": "http.response.body", "body": last}, begins=begins)

    async def reply(
        self, status: int, body: bytes = b"", *, headers: Iterable[Header] | None = None
    ) -> None:
        """Answer with a whole body.

        Raises:
            ClientGone: The client does not read.
        """
        self._ended = True
        about = _JSON if headers is None and body else headers or ()
        length = (b"content-length", b"%d" % len(body))
        start = {"type": "http.response.start", "status": status}
        with self._in_time():
            await self._send({**start, "headers": [*about, length, *self._headers]})
            await self._send({"type": "http.response.body", "body": body})

    def _begin(self) -> tuple[bool, anyio.Lock]:
        if self._lock is not None:
            return False, self._lock
        self._lock = anyio.Lock()
        return True, self._lock

    async def _put(self, message: Message, *, begins: bool) -> None:
        with self._in_time():
            if begins:
                headers = [*_EVENTS, *self._headers]
                await self._send({"type": "http.response.start", "status": _OK, "headers": headers})
            await self._send(message)

    @contextmanager
    def _in_time(self) -> Generator[None]:
        with anyio.move_on_after(self._timeout_s) as deadline:
            yield
        if deadline.cancelled_caught:
            self._ended = self._gone = True
            raise ClientGone
