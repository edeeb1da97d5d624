"""Sends small requests to any number of places, at the least cost that is safe.

Over plain HTTP without a proxy only, with no redirects: what does not fit is a `Surprise`, and goes
by the client that knows everything. Knows URLs and headers; nothing of MCP.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio

from .exchange import Exchange, HungUp
from .network import KEEPALIVE_S, find_proxy
from .plain_answer import Surprise

_MOST_OPEN = 64
_MOST_IDLE = 16
"""Only servers of one origin can share them."""
_CONNECT_S = 5.0
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}
)
"""Headers that say how a request is sent; who sets one of them wants something special."""
_HEADER_LINE = re.compile(
    r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*"
)
_VISIBLE = re.compile(r"[!-~]+")


class _Place(NamedTuple):
    host: str
    port: int


class _Idle(NamedTuple):
    place: _Place
    expires_at: float
    exchange: Exchange


class Postbox:
    """Connections for single requests. Close it with `aclose`.

    At most `_MOST_OPEN` requests are under way at once; who wants another waits. A few connections
    stay open after an answer, for the next request to the same host and port.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        """Take no answer of more than ``limit_bytes``."""
        self._limit_bytes = limit_bytes
        self._room = anyio.Semaphore(_MOST_OPEN, fast_acquire=True)
        self._idle: deque[_Idle] = deque()

    def close(self) -> None:
        """Close the connections that are idle; who is asking closes its own."""
        while self._idle:
            self._idle.pop().exchange.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Send a request that does no harm twice; return the body of its answer.

        Whoever waits has a deadline. ``headers`` are named in lower case.

        Raises:
            Surprise: It cannot be sent this way, or the answer is no plain one.
        """
        place, request = _render(url, headers, body)
        async with self._room:
            kept = self._find_idle(place)
            if kept is not None:
                try:
                    return await self._ask(place, kept, request)
                except HungUp:
                    pass  # it had been closed while it was idle: nothing was answered on it
            return await self._ask(place, await self._connect(place), request)

    async def _ask(self, place: _Place, exchange: Exchange, request: bytes) -> bytes:
        answer = await exchange.ask(request)
        if exchange.is_idle:
            self._idle.append(_Idle(place, anyio.current_time() + KEEPALIVE_S, exchange))
            if len(self._idle) > _MOST_IDLE:
                self._idle.popleft().exchange.close()
        return answer

    def _find_idle(self, place: _Place) -> Exchange | None:
        now = anyio.current_time()
        while self._idle and self._idle[0].expires_at < now:
            self._idle.popleft().exchange.close()
        for at, idle in enumerate(self._idle):
            if idle.place == place:
                del self._idle[at]
                return idle.exchange
        return None

    async def _connect(self, place: _Place) -> Exchange:
        loop = asyncio.get_running_loop()
        try:
            with anyio.fail_after(_CONNECT_S):
                _, exchange = await loop.create_connection(self._make, place.host, place.port)
        except (OSError, ValueError) as error:  # a timeout and a failed look-up are OSErrors
            raise Surprise(f"cannot be connected to: {error}") from None
        return exchange

    def _make(self) -> Exchange:
        return Exchange(limit_bytes=self._limit_bytes)


def _render(url: str, headers: Mapping[str, str], body: bytes) -> tuple[_Place, bytes]:
    """Write the whole request.

    Raises:
        Surprise: There is more to it than goes this way.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Surprise("has a URL that cannot be read") from None
    if parts.scheme != "http" or not host or "@" in parts.netloc or not _VISIBLE.fullmatch(url):
        raise Surprise("is not reached by plain HTTP")
    if find_proxy(url) is not None:
        raise Surprise("is reached through a proxy")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if not _OURS.isdisjoint(headers) or not all(map(_HEADER_LINE.fullmatch, lines)):
        raise Surprise("wants headers of a special kind")
    framing = (f"POST {target} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}")
    head = "\r\n".join([*framing, *lines, "", ""])
    return _Place(host, 80 if port is None else port), head.encode() + body
