"""A bounded HTTP client for one endpoint: same-origin redirects only, deadlines, a cap on bodies.

Knows HTTP; knows nothing of MCP.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import anyio
import httpcore2

from toolcrib_server.upstream.failures import LinkLost, Oversized, Unanswered
from toolcrib_server.upstream.limits import LinkLimits

from .network import Network, RawResponse, SharedNetwork, open_network

_MAX_CONNECTIONS = 256
_KEEPALIVE_CONNECTIONS = 32
_REDIRECTS = 3
_KEEPING_THE_METHOD = frozenset({307, 308})
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_NOT_SENT = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    httpcore2.LocalProtocolError,
)
_CUT_OFF = (httpcore2.NetworkError, httpcore2.RemoteProtocolError, httpcore2.TimeoutException)


class Reply:
    """The head of a response, and its body while the request is open."""

    def __init__(self, response: RawResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.status: int = response.status
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }

    @property
    def content_type(self) -> str:
        """The media type, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def location(self) -> str | None:
        """Where it redirects to, without query and fragment, which may hold state; or None."""
        where = self.headers.get("location")
        if self.status not in _REDIRECTING or where is None:
            return None
        try:
            parts = urlsplit(urljoin(self._url, where))
        except ValueError:
            return "an address that is no URL"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def retry_after_s(self) -> float | None:
        """What the server asks to wait, in seconds; dates are not read."""
        stated = self.headers.get("retry-after", "")
        return float(stated) if stated.isdecimal() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the body as it comes.

        Raises:
            Unanswered: The connection broke.
        """
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except _CUT_OFF as error:
            raise Unanswered(f"broke the connection off: {_describe(error)}") from error

    async def read(self, limit: int) -> bytes:
        """Read the whole body.

        Raises:
            Oversized: It is larger than ``limit`` bytes.
            Unanswered: The connection broke.
        """
        stated = self.headers.get("content-length", "")
        if stated.isdecimal() and int(stated) > limit:
            raise Oversized(int(stated), limit)
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise Oversized(size, limit)
            parts.append(chunk)
        return b"".join(parts)


class EndpointClient:
    """Keeps connections to one endpoint. An async context manager."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        limits: LinkLimits,
        shared: SharedNetwork | None = None,
    ) -> None:
        """Prepare for one endpoint; with ``shared`` connections it has none to open and close."""
        self._url = url
        self._own = {name.lower(): value for name, value in headers.items()}
        self._timeouts = {
            "connect": limits.connect_timeout_s,
            "pool": limits.connect_timeout_s,
            "write": 2 * limits.connect_timeout_s,
        }
        self._pool: Network | None = shared
        self._owned: Network | None = None

    async def __aenter__(self) -> Self:
        if self._pool is None:
            self._pool = self._owned = await open_network(
                self._url, max_connections=_MAX_CONNECTIONS, max_idle=_KEEPALIVE_CONNECTIONS
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owned is not None:
            with anyio.CancelScope(shield=True):
                await self._owned.aclose()

    @asynccontextmanager
    async def send(
        self,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        url: str | None = None,
        read_timeout_s: float | None = None,
    ) -> AsyncGenerator[Reply]:
        """Send a request; leaving closes its stream. ``url`` must share the endpoint's origin.

        ``read_timeout_s`` is the longest silence; without it, whoever waits has a deadline.

        Redirects are followed within the origin and only where they keep the method; every other
        is the reply itself, so that headers never travel to another host.

        Raises:
            LinkLost: The request was not sent: no connection.
            Unanswered: The connection broke before the reply.
        """
        assert self._pool is not None
        fields = [
            (name.encode("ascii"), value.encode("utf-8"))
            for name, value in {**self._own, **headers}.items()
        ]
        target = url or self._url
        timeouts = {**self._timeouts, "read": read_timeout_s}
        for turn in range(_REDIRECTS + 1):
            opening = self._pool.stream(
                method, target, headers=fields, content=body, extensions={"timeout": timeouts}
            )
            async with _take_reply(opening, target) as reply:
                onward = _follow(reply, target) if turn < _REDIRECTS else None
                if onward is None:
                    yield reply
                    return
            target = onward


@asynccontextmanager
async def _take_reply(
    opening: AbstractAsyncContextManager[RawResponse], url: str
) -> AsyncGenerator[Reply]:
    async with contextlib.AsyncExitStack() as stack:
        try:
            response = await stack.enter_async_context(opening)
        except _NOT_SENT as error:
            reason = f"no connection to {_origin(url)}: {_describe(error)}"
            raise LinkLost(reason, delivered=False) from error
        except _CUT_OFF as error:
            raise Unanswered(f"broke the connection off: {_describe(error)}") from error
        yield Reply(response, url)


def _follow(reply: Reply, url: str) -> str | None:
    """Where to send the same request again, if the reply asks for that and it is safe."""
    where = reply.headers.get("location")
    if reply.status not in _KEEPING_THE_METHOD or where is None:
        return None
    return join_within_origin(url, where)


def join_within_origin(url: str, where: str) -> str | None:
    """Join ``where`` to ``url``; None unless that is a URL of the same scheme, host and port.

    Neither is one with a user name, or with characters that no URL may hold.
    """
    try:
        onward = urljoin(url, where)
        if _origin(url) != _origin(onward) or "@" in urlsplit(onward).netloc:
            return None
    except ValueError:
        return None
    return onward if all("!" <= character <= "~" for character in onward) else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
