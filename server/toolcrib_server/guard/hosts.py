"""To whom a request is addressed, and from which web page it comes."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from .refusal import AsgiApp, Problem, Receive, Scope, Send, refuse

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::\d+)?")


class HostGuard:
    """Lets in requests addressed to a known host, and from a known web origin if from any.

    A browser can be made to send requests here by a page of another site, or under a name that was
    rebound to this address; it cannot be made to lie in ``Host`` and ``Origin``. ``hosts`` holds
    names, with a port only where it matters; ``*`` is any. ``origins`` are whole, as
    ``https://app.example.com``.
    """

    def __init__(
        self, app: AsgiApp, *, hosts: Collection[str], origins: Collection[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] in {"http", "websocket"}:
            problem = self._problem_of(scope)
            if problem is not None:
                return await refuse(scope, send, problem)
        return await self._app(scope, receive, send)

    def _problem_of(self, scope: Scope) -> Problem | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._knows(hosts[0].decode("latin-1")):
            detail = (
                "The Host header does not name this server. Use one of its names, or let the "
                "operator allow this one with TOOLCRIB_ALLOWED_HOSTS."
            )
            return Problem(421, "misdirected-request", "Not a name of this server", detail)
        origins = [value.decode("latin-1") for key, value in scope["headers"] if key == b"origin"]
        if not all(map(self._knows_origin, origins)):
            detail = (
                "Requests from this web origin are not allowed. Let the operator allow it with "
                "TOOLCRIB_ALLOWED_ORIGINS."
            )
            return Problem(403, "not-permitted", "Origin not allowed", detail)
        return None

    def _knows(self, host: str) -> bool:
        host = host.strip().lower()
        return "*" in self._hosts or bool({host, _without_port(host)} & self._hosts)

    def _knows_origin(self, origin: str) -> bool:
        origin = origin.strip().lower()
        if origin in self._origins or "*" in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        # "*" among the hosts says nothing about web pages: those are named one by one.
        return parts.scheme in {"http", "https"} and bool(
            {parts.netloc, _without_port(parts.netloc)} & self._hosts
        )


def _without_port(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match.group(1) if match else host
