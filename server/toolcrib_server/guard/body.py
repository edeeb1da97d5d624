"""How much a request may send, and how long that may take."""

from __future__ import annotations

import anyio

from .refusal import AsgiApp, Message, Problem, Receive, Scope, Send, refuse

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0


class BodyGuard:
    """Answers a request that sends more than the limit with 413, one that dawdles with 408."""

    def __init__(
        self, app: AsgiApp, *, limit: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S
    ) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if _declared(scope) > self._limit:
            return await refuse(scope, send, self._too_large())
        # Read before the application starts: afterwards a refusal could come too late to be sent.
        try:
            with anyio.fail_after(self._timeout_s):
                messages = await self._received(receive)
        except TimeoutError:
            return await refuse(scope, send, self._too_slow())
        if messages is None:
            return await refuse(scope, send, self._too_large())
        return await self._app(scope, _replay(messages, receive), send)

    def _too_large(self) -> Problem:
        detail = f"The body is larger than {self._limit} bytes."
        return Problem(413, "content-too-large", "The body is too large", detail)

    def _too_slow(self) -> Problem:
        detail = f"The body did not arrive within {self._timeout_s:g} s."
        return Problem(408, "request-timeout", "The request took too long", detail)

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
