"""Limits on how much a request may send and how long that may take."""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import too_large, too_slow

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0


class BodyLimit:
    """Answers a request that sends more than the limit with 413, and reads no further."""

    def __init__(
        self, app: ASGIApp, *, limit: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S
    ) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if _declared(scope) > self._limit:
            return await too_large(self._limit)(scope, receive, send)
        # Read before the application starts: afterwards a 413 could come too late to be sent.
        try:
            with anyio.fail_after(self._timeout_s):
                messages = await self._received(receive)
        except TimeoutError:
            return await too_slow(self._timeout_s)(scope, receive, send)
        if messages is None:
            return await too_large(self._limit)(scope, receive, send)
        return await self._app(scope, _replay(messages, receive), send)

    async def _received(self, receive: Receive) -> list[Message] | None:
        """Receive the whole body, or None when it is over the limit."""
        messages, size = [await receive()], 0
        while (size := size + len(messages[-1].get("body", b""))) <= self._limit:
            if not messages[-1].get("more_body"):
                return messages
            messages.append(await receive())
        return None


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replayed() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return replayed


def _declared(scope: Scope) -> int:
    values = [value for name, value in scope["headers"] if name == b"content-length"]
    try:
        return int(values[0]) if values else 0
    except ValueError:
        return 0
