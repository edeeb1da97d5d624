"""What a face needs of whoever answers behind it, in the words of 2026-07-28, for all clients.

A face speaks to clients: it frames, negotiates, keeps sessions, validates envelopes. A service
answers: it never learns over which transport, and only by `Client` and `Request.ask` in which era.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolcrib_registry.types import JsonObject

Notify = Callable[[str, JsonObject], Awaitable[None]]
"""Sends the client a notification: (method, params). A client that is gone is no error."""
Ask = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Sends the client a request, (method, params), and returns its result.

Raises `RpcError`: the client refused, cannot do that, or is gone.
"""


class RpcError(Exception):
    """A JSON-RPC error, to be sent as it is."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks, as far as the protocol tells."""

    principal: str
    """Who bears the key that was shown; everything kept for a client is kept apart by it."""
    version: str
    """The protocol version spoken with it."""
    capabilities: Mapping[str, Any] = field(default_factory=dict[str, Any])
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    session: str | None = None
    """Names a conversation of the handshake era, which has a beginning and an end; None since."""
    log_level: str | None = None
    """From which severity on it wants log messages; None: none, or before 2026-07-28: what the
    server sees fit, for the client has not said."""
    notify: Notify | None = None
    """Tells it what belongs to no request. Handshake era only, as is `ask`."""
    ask: Ask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a client."""

    method: str
    params: JsonObject
    """As sent; of ``_meta`` without the keys that belong to the client's own hop."""
    client: Client
    notify: Notify
    """Tells of progress and log messages while the request is being answered.

    Parameters of ``notifications/progress`` bear no token here: the face puts the client's in, or
    drops them if it gave none.
    """
    wants_progress: bool = False
    ask: Ask | None = None
    """Asks the client something meanwhile; None: its era answers ``input_required`` by a retry."""


class Service(Protocol):
    """Answers clients. Everything may be called at once, for many clients, and cancelled."""

    async def discover(self, client: Client) -> JsonObject:
        """Say what there is: the result of ``server/discover`` without its protocol versions.

        That is ``capabilities``, ``serverInfo``, and where there are any ``instructions``,
        ``ttlMs``, ``cacheScope`` and ``_meta``.

        Raises:
            RpcError: That cannot be said now.
        """
        ...

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request with its result object, ``resultType`` included.

        ``input_required`` may be answered to ``tools/call``, ``prompts/get`` and
        ``resources/read``, whoever asks; a face puts the questions to clients of the handshake era.

        Raises:
            RpcError: The answer is an error; an unknown method is METHOD_NOT_FOUND.
        """
        ...

    async def listen(self, client: Client, wanted: JsonObject, notify: Notify) -> None:
        """Tell of changes, as ``subscriptions/listen`` wants them told, until cancelled.

        The first notification is ``notifications/subscriptions/acknowledged`` with what was agreed;
        no parameters bear a subscription id. Returns when there is nothing more to tell of.

        Raises:
            RpcError: Nothing can be told.
        """
        ...

    async def note(self, client: Client, method: str, params: JsonObject) -> None:
        """Take in a notification of the client's that is about no request; pass unknown ones."""
        ...

    async def leave(self, client: Client) -> None:
        """Drop what was kept for a session that is over."""
        ...

    def input_schema(self, tool: str) -> Mapping[str, Any] | None:
        """Return the input schema of a tool, to check headers that mirror arguments; or None."""
        ...
