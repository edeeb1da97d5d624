"""Requests over plain HTTP to any number of places, at the least cost that is safe.

No TLS, no proxy and no redirects: who needs those goes by the library. Knows URLs and headers;
nothing of MCP.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anyio

from toolcrib_server.upstream.failures import LinkLost

from .answer import Answer, can_be_read
from .channel import Channel
from .dialling import dial

_MOST_LINGERING = 32
_OURS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)
"""Headers that say how a request is sent; nobody else may set them."""
_HEADER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*")
_VISIBLE = re.compile(r"[!-~]+")


class Place(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int


class PlainResponse:
    """An answer whose head has come, and its body while the request is open."""

    def __init__(self, channel: Channel, answer: Answer, quiet_s: float | None) -> None:
        self._channel = channel
        self._quiet_s = quiet_s
        self.status = answer.status
        self.headers: Iterable[tuple[bytes, bytes]] = answer.headers

    def aiter_stream(self) -> AsyncIterator[bytes]:
        """Read the body as it comes.

        Raises:
            Unanswered: The connection broke.
        """
        return self._channel.parts(quiet_s=self._quiet_s)


class Channels:
    """Connections that are kept for the next request to the same place. Close it with `aclose`.

    At most ``max_connections`` requests are under way at once; who wants another waits.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        max_idle: int,
        keepalive_s: float,
        socket_options: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        self._max_idle = max_idle
        self._keepalive_s = keepalive_s
        self._socket_options = socket_options
        self._room = anyio.Semaphore(max_connections, fast_acquire=True)
        self._places: dict[Channel, Place] = {}
        """Every connection that is open."""
        self._idle: deque[Channel] = deque()
        """Longest idle first."""
        self._lingering: set[Channel] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for channel in [*self._places]:
            channel.close()

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: Mapping[str, Any],
    ) -> _Request:
        """Send a request, as the library's pools do; leaving ends it.

        Leaving before the answer is whole cancels it when an exception does so, and otherwise
        leaves the server a moment to end what it was saying.
        """
        timeouts: Mapping[str, float | None] = extensions.get("timeout") or {}
        return _Request(self, _Letter(method, url, headers, content, timeouts))

    async def acquire(self, place: Place, timeouts: Mapping[str, float | None]) -> Channel:
        """Take a connection to a place; give it back with `release`.

        Raises:
            LinkLost: There is none.
        """
        await self._enter(place, timeouts.get("pool"))
        try:
            return self._find_idle(place) or await self._connect(place, timeouts.get("connect"))
        except BaseException:
            self._room.release()
            raise

    def release(self, channel: Channel, *, is_done: bool) -> None:
        """Give a connection back; see `Channel.release`."""
        self._room.release()
        is_roomy = len(self._lingering) < _MOST_LINGERING
        if channel.release(is_done=is_done and is_roomy):
            self._lingering.add(channel)

    async def _enter(self, place: Place, timeout_s: float | None) -> None:
        try:
            self._room.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(timeout_s) as scope:
                await self._room.acquire()
            if scope.cancelled_caught:
                raise _not_sent(place, "all connections are in use") from None

    def _find_idle(self, place: Place) -> Channel | None:
        self._drop_expired()
        for channel in reversed(self._idle):
            if self._places.get(channel) == place:
                self._idle.remove(channel)
                if channel.is_usable:
                    return channel
                break
        return None

    async def _connect(self, place: Place, timeout_s: float | None) -> Channel:
        try:
            with anyio.fail_after(timeout_s):
                channel = await dial(self._make, *place, options=self._socket_options)
        except TimeoutError:
            raise _not_sent(place, f"no answer in {timeout_s:g} s") from None
        except (OSError, ValueError) as error:  # a failed look-up is an OSError
            raise _not_sent(place, _describe(error)) from error
        if self._is_closed:
            channel.close()
        if channel.is_usable:  # else nobody would take it out again
            self._places[channel] = place
        return channel

    def _make(self) -> Channel:
        return Channel(on_free=self._keep, on_gone=self._forget)

    def _keep(self, channel: Channel) -> None:
        self._lingering.discard(channel)
        channel.idle_since = asyncio.get_running_loop().time()
        self._idle.append(channel)
        if len(self._idle) > self._max_idle:
            self._idle.popleft().close()
        self._sweep_later()

    def _forget(self, channel: Channel) -> None:
        self._places.pop(channel, None)
        self._lingering.discard(channel)
        if channel in self._idle:
            self._idle.remove(channel)

    def _sweep_later(self) -> None:
        if self._sweep is None and self._idle and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._keepalive_s, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep = None
        self._drop_expired()
        self._sweep_later()

    def _drop_expired(self) -> None:
        before = asyncio.get_running_loop().time() - self._keepalive_s
        while self._idle and self._idle[0].idle_since <= before:
            self._idle.popleft().close()


class _Letter(NamedTuple):
    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]]
    content: bytes | None
    timeouts: Mapping[str, float | None]


class _Request:
    """One request, while it is open."""

    __slots__ = ("_channel", "_channels", "_letter")

    def __init__(self, channels: Channels, letter: _Letter) -> None:
        self._channels = channels
        self._letter = letter
        self._channel: Channel | None = None

    async def __aenter__(self) -> PlainResponse:
        method, url, headers, content, timeouts = self._letter
        place, request = render(method, url, headers, content)
        quiet_s = timeouts.get("read")
        channel = self._channel = await self._channels.acquire(place, timeouts)
        try:
            answer = await channel.ask(
                request, method, write_timeout_s=timeouts.get("write"), quiet_s=quiet_s
            )
        except BaseException:
            self._channels.release(channel, is_done=False)
            raise
        return PlainResponse(channel, answer, quiet_s)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._channel is not None
        self._channels.release(self._channel, is_done=error is None)


def is_plain(url: str) -> bool:
    """Whether a URL can be reached this way; proxies are the caller's to know of."""
    parts = urlsplit(url)
    is_bare = bool(parts.hostname) and "@" not in parts.netloc and _VISIBLE.fullmatch(url)
    return parts.scheme == "http" and bool(is_bare) and can_be_read()


def render(
    method: str, url: str, headers: Sequence[tuple[bytes, bytes]], content: bytes | None
) -> tuple[Place, bytes]:
    """Write a whole request, and say where to.

    Raises:
        LinkLost: It cannot be written: a header or the URL holds what it may not.
    """
    parts = urlsplit(url)
    place = Place(parts.hostname or "", 80 if parts.port is None else parts.port)
    if not _VISIBLE.fullmatch(url):
        raise _not_sent(place, "the URL holds characters that no URL may hold")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    lines = [b"%b: %b" % header for header in headers]
    if any(name.lower() in _OURS for name, _ in headers) or not all(map(_HEADER.fullmatch, lines)):
        raise _not_sent(place, "a header cannot be sent as it is")
    framing = [f"{method} {target} HTTP/1.1\r\nhost: {parts.netloc}".encode("ascii")]
    if content is not None or method not in {"GET", "HEAD"}:
        framing.append(b"content-length: %d" % len(content or b""))
    return place, b"\r\n".join([*framing, *lines, b"", content or b""])


def _describe(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error)


def _not_sent(place: Place, reason: str) -> LinkLost:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return LinkLost(f"no connection to http://{host}:{place.port}: {reason}", delivered=False)
