"""Pools of network connections: how they are set up, through which proxy, and shared by many.

Knows HTTP connections; knows no endpoint's headers and nothing of MCP.
"""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import httpcore2

from .channels import Channels, is_plain

KEEPALIVE_S = 4.5
"""Below the five seconds after which many servers hang up, perhaps on a request on its way."""
_SHARED_CONNECTIONS = 64
_SHARED_IDLE = 16
"""Only servers of one origin can share them."""
_Place = tuple[bytes, bytes, int | None]
"""Scheme, host and port."""
_DEAD_AFTER_S = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""A peer that vanished without a word is noticed after two minutes, where the system lets us."""


class RawResponse(Protocol):
    """The head of a response, and its body while the request is open."""

    status: int
    headers: Any
    """Pairs of bytes: name and value."""

    def aiter_stream(self) -> AsyncIterator[bytes]:
        """Read the body as it comes."""
        ...


class Network(Protocol):
    """Connections to send requests over: our own where they are plain, else the library's."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: list[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: dict[str, Any],
    ) -> AbstractAsyncContextManager[RawResponse]:
        """Send a request; leaving closes its stream."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


async def open_network(url: str, *, max_connections: int, max_idle: int) -> Network:
    """Prepare connections to the place of ``url``; none is opened yet."""
    proxy = find_proxy(url)
    if proxy is None and is_plain(url):
        return _open_channels(max_connections, max_idle)
    secure = urlsplit(url).scheme == "https"
    context = await anyio.to_thread.run_sync(httpcore2.default_ssl_context) if secure else None
    return _make_pool(context, proxy, max_connections, max_idle)


def _open_channels(max_connections: int, max_idle: int) -> Channels:
    return Channels(
        max_connections=max_connections,
        max_idle=max_idle,
        keepalive_s=KEEPALIVE_S,
        socket_options=_keep_alive(),
    )


def _make_pool(
    context: ssl.SSLContext | None,
    proxy: httpcore2.Proxy | None,
    max_connections: int,
    max_idle: int,
) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        proxy=proxy,
        max_connections=max_connections,
        max_keepalive_connections=max_idle,
        keepalive_expiry=KEEPALIVE_S,
        socket_options=_keep_alive(),
    )


def _keep_alive() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _DEAD_AFTER_S.items():
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


class SharedNetwork:
    """Connections for single requests to any number of places. Close it with `aclose`.

    At most `_SHARED_CONNECTIONS` requests are under way at once; who wants another waits. The few
    that stay open after their request serve the next one to the same place. (The library's pool
    looks at every connection for every request, which costs more than the request.)
    """

    def __init__(self) -> None:
        self._room = anyio.CapacityLimiter(_SHARED_CONNECTIONS)
        self._idle: deque[tuple[_Place, httpcore2.AsyncHTTPConnection]] = deque()
        self._pools: dict[str, Network] = {}
        self._plain = _open_channels(_SHARED_CONNECTIONS, _SHARED_IDLE)
        self._context: ssl.SSLContext | None = None

    async def aclose(self) -> None:
        """Close all of them."""
        with anyio.CancelScope(shield=True):
            while self._idle:
                await self._idle.pop()[1].aclose()
            for pool in (self._plain, *self._pools.values()):
                await pool.aclose()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: list[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: dict[str, Any],
    ) -> AsyncGenerator[RawResponse]:
        """Send a request, as the library's pools do; leaving closes its stream."""
        proxy = find_proxy(url)
        async with self._room, AsyncExitStack() as stack:
            if proxy is None and not is_plain(url):
                opening = self._stream_securely(method, url, headers, content, extensions)
            else:
                pool = self._plain if proxy is None else await self._pool_for(url, proxy)
                opening = pool.stream(
                    method, url, headers=headers, content=content, extensions=extensions
                )
            yield await stack.enter_async_context(opening)

    @asynccontextmanager
    async def _stream_securely(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes | None,
        extensions: Mapping[str, Any],
    ) -> AsyncGenerator[httpcore2.Response]:
        target = httpcore2.URL(url)
        place = (target.scheme, target.host, target.port)
        framing = [(b"host", _host(url)), (b"content-length", b"%d" % len(content or b""))]
        request = httpcore2.Request(
            method,
            target,
            headers=[*framing, *headers],
            content=content,
            extensions=dict(extensions),
        )
        connection = await self._find_idle(place) or await self._connect(target)
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            await self._put_aside(place, connection)

    async def _find_idle(self, place: _Place) -> httpcore2.AsyncHTTPConnection | None:
        for at, (known, connection) in enumerate(self._idle):
            if known == place:
                del self._idle[at]
                if not connection.has_expired():
                    return connection
                await connection.aclose()
                return None
        return None

    async def _connect(self, target: httpcore2.URL) -> httpcore2.AsyncHTTPConnection:
        if target.scheme == b"https" and self._context is None:
            self._context = await anyio.to_thread.run_sync(httpcore2.default_ssl_context)
        return httpcore2.AsyncHTTPConnection(
            target.origin, ssl_context=self._context, keepalive_expiry=KEEPALIVE_S
        )

    async def _put_aside(self, place: _Place, connection: httpcore2.AsyncHTTPConnection) -> None:
        with anyio.CancelScope(shield=True):
            if not connection.is_idle():
                await connection.aclose()
                return
            self._idle.append((place, connection))
            if len(self._idle) > _SHARED_IDLE:
                await self._idle.popleft()[1].aclose()

    async def _pool_for(self, url: str, proxy: httpcore2.Proxy) -> Network:
        key = f"{urlsplit(url).scheme} {proxy.url!r} {proxy.auth!r}"
        pool = self._pools.get(key)
        if pool is None:
            pool = await open_network(
                url, max_connections=_SHARED_CONNECTIONS, max_idle=_SHARED_IDLE
            )
            pool = self._pools.setdefault(key, pool)
        return pool


def _host(url: str) -> bytes:
    return urlsplit(url).netloc.rpartition("@")[2].encode("ascii")


def find_proxy(url: str) -> httpcore2.Proxy | None:
    """Find the proxy the environment asks for; loopback is always reached directly."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    place = urlsplit(proxy)
    auth = (unquote(place.username), unquote(place.password or "")) if place.username else None
    bare = place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()
    return httpcore2.Proxy(bare, auth=auth)
