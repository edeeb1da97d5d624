"""A server's process as one that takes room: who it is, whether it may be sent away, and how."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from toolcrib_registry.types import ServerName
from toolcrib_server.upstream.connecting.connection import Connection

from .slot import Slot

_YIELDS_S = 0.5
"""What was idle for so long makes way: shorter pauses lie between the requests of one task."""
_OF_ONE_CLIENT_YIELDS_S = 30.0
"""Longer where it is one client's own, and may remember things about it."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The process behind an open connection."""

    slot: Slot
    connection: Connection

    @property
    def server(self) -> ServerName:
        """Whose it is."""
        return self.slot.server.name

    @property
    def pid(self) -> int | None:
        """The process; None once it has ended."""
        return next(iter(self.connection.describe().pids), None)

    @property
    def idle_s(self) -> float | None:
        """How long nobody has used it; None while it cannot be sent away."""
        yields_s = _OF_ONE_CLIENT_YIELDS_S if self.slot.profile.key else _YIELDS_S
        if not self.slot.is_idle(yields_s):
            return None
        return anyio.current_time() - self.connection.last_used

    def leave(self) -> None:
        """Have it closed for somebody else's sake; the next request opens it again."""
        self.slot.drop(self.connection)
        self.slot.cancel_owners()

    def lose(self, reason: str) -> None:
        """Have it closed for what it did; its requests fail with this reason."""
        self.connection.lose(reason)
