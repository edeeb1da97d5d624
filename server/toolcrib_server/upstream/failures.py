"""What can go wrong on a link. Never leaves this package: `toolcrib_registry.errors` does."""

from __future__ import annotations

from typing import Any


class LinkFailure(Exception):
    """Root of what a link raises. ``reason`` completes the sentence 'the server …'."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LinkLost(LinkFailure):
    """The link is gone. ``delivered`` is False when the server provably never saw the request."""

    def __init__(
        self, reason: str, *, delivered: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.delivered = delivered
        self.retry_after_s = retry_after_s


class Unanswered(LinkFailure):
    """This request got no usable answer; the link itself may be well."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Unauthorized(Unanswered):
    """The server refused our credentials."""


class BadAnswer(LinkFailure):
    """The server answered with something that is not MCP."""


class Unrelayable(BadAnswer):
    """The server sent JSON that cannot be handed on.

    ``answered`` are the ids of the requests it answers; None when they could not be made out.
    """

    def __init__(self, reason: str, answered: tuple[object, ...] | None) -> None:
        super().__init__(reason)
        self.answered = answered


class TooDeep(Unrelayable):
    """Its message nests too deeply, but has been read; ``result`` is for who can part it."""

    def __init__(
        self, reason: str, answered: tuple[object, ...] | None, result: dict[str, Any] | None
    ) -> None:
        super().__init__(reason, answered)
        self.result = result


class Oversized(LinkFailure):
    """The server answered with more than the limit, in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"sent {size} bytes; the limit is {limit}")
        self.size = size
        self.limit = limit


class RpcFailure(LinkFailure):
    """The server answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def may_repeat(failure: LinkFailure, *, safe: bool) -> bool:
    """Whether a request that failed so can be sent again; ``safe``: doing it twice is no harm."""
    if isinstance(failure, LinkLost):
        return safe or not failure.delivered
    return isinstance(failure, Unanswered) and safe
