"""What the guards share: the plain ASGI shapes, and how a request is refused."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBLEM_TYPE = b"application/problem+json"
_POLICY_VIOLATION = 1008
"""WebSocket close code (RFC 6455, section 7.4.1)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An RFC 9457 problem, as `ProblemOut` has it: that model costs a start of 0.2 s to import."""

    status: int
    code: str
    title: str
    detail: str

    def dump(self) -> bytes:
        """Render it as JSON."""
        kind = f"urn:toolcrib:problem:{self.code}"
        return json.dumps({"type": kind, **asdict(self)}).encode()


async def refuse(
    scope: Scope,
    send: Send,
    problem: Problem,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer with a problem, or close a WebSocket."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
    body = problem.dump()
    about = [(b"content-type", PROBLEM_TYPE), (b"content-length", str(len(body)).encode())]
    start = {"type": "http.response.start", "status": problem.status, "headers": [*about, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
    return None


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that (lower-case) name."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if values else None
