"""On whose behalf a server is spoken to, and who hears what it says while it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolcrib_registry.types import JsonObject

OnNotice = Callable[[str, JsonObject], Awaitable[None]]
"""Hears a notification: (method, params). Parameters of progress bear no token."""
OnAsk = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Answers a request of the server's, (method, params), with its result.

Raises `Refused` to refuse it.
"""


class Refused(Exception):
    """A server's request is answered with this JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What Toolcrib declares to a server on a client's behalf.

    A server of the handshake era is told once a connection: it has one for each ``key``. One of
    2026-07-28 is told with every request, over one connection for all. One that speaks both is
    met in the client's own era, so that it can do for the client what it does in that era alone.
    """

    key: str = ""
    """Whoever may share a connection has the same; "" is everybody who declares nothing."""
    owner: str = field(default="", compare=False)
    """The principal behind the key: where there is no room left, whoever has most gives way."""
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)
    info: Mapping[str, Any] | None = field(default=None, compare=False)
    """The client's own name and version; None: Toolcrib's."""
    log_level: str | None = field(default=None, compare=False)
    handshake: bool = field(default=False, compare=False)
    """Whether the client is of the handshake era."""
    on_notice: OnNotice | None = field(default=None, compare=False)
    """Hears what belongs to no request of ours, but for changes: those are told to who listens."""
    on_ask: OnAsk | None = field(default=None, compare=False)
    """Answers what belongs to no request, and what may belong to several of this client's.

    Without it, requests with an `Interaction.on_ask` take turns on a connection where a question
    does not say to which of them it belongs.
    """


SHARED = Profile()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """What goes on between a server and a client while one request is being answered."""

    profile: Profile = SHARED
    on_notice: OnNotice | None = None
    """Hears progress and log messages of this request. Progress is asked for only if given."""
    on_ask: OnAsk | None = None
    """Answers what a server of the handshake era asks meanwhile; the deadline rests as long."""


ALONE = Interaction()
"""Nobody hears, and nobody can be asked."""
