"""One HTTP request to an MCP endpoint, as far as it concerns MCP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toolcrib_server.guard import principal_of

from .headers import Headers
from .limits import LIMITS, Limits
from .response import Header, Receive, Response, Scope, Send
from .service import Service


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes, to which service, and what the headers say."""

    service: Service
    scope: Scope
    headers: Headers
    receive: Receive
    send: Send
    limits: Limits = LIMITS

    @property
    def principal(self) -> str:
        """Who bears the key that was shown."""
        return principal_of(self.scope).name

    @property
    def place(self) -> str:
        """Where the endpoint is."""
        return str(self.scope["path"]).rstrip("/")

    def respond(self, *, headers: Iterable[Header] = ()) -> Response:
        """Begin to answer, as the client accepts it."""
        plain, streams = self.headers.accepted()
        timeout_s = self.limits.send_timeout_s
        return Response(
            self.send, streams=streams, plain=plain, headers=headers, timeout_s=timeout_s
        )

    async def read(self) -> bytes | None:
        """Read the body; None when the client leaves meanwhile."""
        message = await self.receive()
        parts = [message.get("body", b"")]
        while message["type"] == "http.request" and message.get("more_body"):
            message = await self.receive()
            parts.append(message.get("body", b""))
        return None if message["type"] == "http.disconnect" else b"".join(parts)
