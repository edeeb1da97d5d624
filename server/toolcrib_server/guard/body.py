"""How much a request may send, and how long that may take."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from .refusal import AsgiApp, Message, Problem, Receive, Scope, Send, refuse

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0


class BodyGuard:
    """Answers a request that sends more than the limit with 413, one that dawdles with 408.

    ``larger`` are limits of their own, by how a path begins.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        limit: int = MAX_BODY_BYTES,
        timeout_s: float = BODY_TIMEOUT_S,
        larger: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._limit = limit
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._limit_of(scope)
        if _declared(scope) > limit:
            return await refuse(scope, send, _too_large(limit))
        # Read before the application starts: afterwards a refusal could come too late to be sent.
        try:
            with anyio.fail_after(self._timeout_s):
                messages = await _received(receive, limit)
        except TimeoutError:
            return await refuse(scope, send, self._too_slow())
        if messages is None:
            return await refuse(scope, send, _too_large(limit))
        return await self._app(scope, _replay(messages, receive), send)

    def _limit_of(self, scope: Scope) -> int:
        path = str(scope.get("path", ""))
        own = [limit for start, limit in self._larger.items() if path.startswith(start)]
        return max([self._limit, *own])

    def _too_slow(self) -> Problem:
        detail = f"The body did not arrive within {self._timeout_s:g} s."
        return Problem(408, "request-timeout", "The request took too long", detail)


def _too_large(limit: int) -> Problem:
    detail = f"The body is larger than {limit} bytes."
    return Problem(413, "content-too-large", "The body is too large", detail)


async def _received(receive: Receive, limit: int) -> list[Message] | None:
    """Receive the whole body, or None when it is over the limit."""
    messages, size = [await receive()], 0
    while (size := size + len(messages[-1].get("body", b""))) <= limit:
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
