"""Fetches what a login needs, from addresses that the server names: bounded, and not anywhere.

A server may name its authorization server; it must not make this process ask its neighbours.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from toolcrib_server.upstream.failures import BadAnswer, Oversized

if TYPE_CHECKING:
    import httpx2

_MOST_BYTES: Final = 1024 * 1024
TIMEOUT_S: Final = 30.0


class Errands:
    """Sends the requests of a login at ``server_url``, over a client that follows no redirects."""

    def __init__(self, client: httpx2.AsyncClient, server_url: str) -> None:
        self._client = client
        self._may_be_near = is_near(server_url)

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and read its answer whole.

        Raises:
            BadAnswer: The address is none that a login may ask.
            Oversized: The answer is.
        """
        import httpx2  # noqa: PLC0415  # slow, and only a login needs it

        self.check(str(request.url))
        async with self._client.stream(
            request.method, request.url, headers=request.headers, content=await request.aread()
        ) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise Oversized(len(body), _MOST_BYTES)
        fields = {"content-encoding", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in answer.headers.items() if name not in fields]
        return httpx2.Response(
            answer.status_code, headers=headers, content=bytes(body), request=request
        )

    def check(self, url: str) -> None:
        """Let pass an address that a login may ask, or send somebody to.

        Raises:
            BadAnswer: It is none.
        """
        parts = urlsplit(url)
        if is_near(url):
            if not self._may_be_near:
                raise BadAnswer(f"names an address of this machine for its login: {parts.netloc}")
        elif parts.scheme != "https":
            raise BadAnswer(f"names an address without TLS for its login: {url[:200]}")


def is_near(url: str) -> bool:
    """Whether a URL's host is written as one of this machine, or of its own network."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
