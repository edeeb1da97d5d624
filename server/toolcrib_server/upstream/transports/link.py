"""What a connection needs of a transport. Each transport fulfils it in a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from toolcrib_server.upstream.messages.dialogue import Dialogue

LISTEN = "subscriptions/listen"
"""The request whose answer is a stream of notifications (2026-07-28)."""


class OnUp(Protocol):
    """Called whenever what a server says unasked begins to arrive."""

    def __call__(self, *, missed: bool) -> None:
        """``missed``: something may have been said before that will not be repeated."""
        ...


class Link(Protocol):
    """A live transport: many requests at once, each answered or failed."""

    async def wait_ready(self) -> None:
        """Wait until requests can be sent.

        Raises:
            LinkFailure: They never will be.
        """
        ...

    async def request(
        self,
        call_id: int,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str],
        dialogue: Dialogue | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for its result; when cancelled, cancel it at the server too.

        What the server says about it meanwhile goes to ``dialogue``.

        Raises:
            LinkFailure: There is no result; the class says why.
        """
        ...

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str],
    ) -> None:
        """Send a notification.

        Raises:
            LinkFailure: It could not be sent.
        """
        ...

    async def follow(self, *, headers: Mapping[str, str], on_up: OnUp) -> None:
        """Hear what a server of the handshake era says unasked, as far as the transport lets it.

        Returns when nothing more will be heard.
        """
        ...

    async def wait_lost(self) -> str:
        """Wait until the link is gone; return the reason."""
        ...

    def lose(self, reason: str) -> None:
        """Give the link up: it is of no use any more."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the link is gone."""
        ...

    @property
    def is_one_channel(self) -> bool:
        """Whether all that a server says comes by one channel, whichever request it is about."""
        ...

    def describe(self) -> LinkState:
        """Say how the link fares, for a person."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """What can be seen of a link from outside."""

    pids: tuple[int, ...] = ()
    noise: int = 0
    """Lines that were no JSON, and answers to no request."""
    stderr_tail: tuple[str, ...] = ()
