"""The place of one server in the pool, across its connections: what is live, and what failed.

Servers of the handshake era have further places for single clients. Opens nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import anyio

from toolcrib_registry.errors import UpstreamError
from toolcrib_registry.types import Server, ServerName
from toolcrib_server.upstream.backoff import Backoff
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.connection import Connection
from toolcrib_server.upstream.lists.listing import Listing
from toolcrib_server.upstream.lists.mirroring import HeaderMap, header_maps
from toolcrib_server.upstream.messages.interaction import SHARED, Profile

from .translation import reason_of

_FIRST_PAUSE_S = 0.25
"""A server that is being restarted is back soon."""
_LONGEST_PAUSE_S = 30.0
_LONGEST_AFTER_LOSS_S = 0.7
"""It could be opened and greeted each time: what ended it may be one client's call, and the others
are to wait for the next connection rather than be refused."""
_LONGEST_ASKED_S = 60.0
_LONGEST_DEAFNESS_S = 300.0
_MOST_HEADER_MAPS = 10_000
_STEADY_S = 60.0
"""A connection that held for so long was sound: its loss is not one in a row."""


class LinkStatus(StrEnum):
    """How the connection to a server stands."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"
    """Not needed so far, idle for long, or lost; the next request opens it."""
    WAITING = "waiting"
    """The last attempt failed; requests fail at once until the next one is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionState:
    """What can be seen of the connection to a server. Texts are redacted."""

    server: ServerName
    status: LinkStatus
    protocol_version: str | None = None
    pids: tuple[int, ...] = ()
    opened: int = 0
    """How often it has been opened; each time after the first is a restart."""
    in_flight: int = 0
    last_error: str | None = None
    retry_after_s: float | None = None
    noise: int = 0
    """Lines that were no JSON, and answers to no request."""
    stderr_tail: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    """The lists whose changes the server tells of now: some of tools, prompts, resources."""
    private: int = 0
    """Open connections that belong to one client each; what they do is counted in."""


class Attempt:
    """One opening, awaited by all who need the connection."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.connection: Connection | None = None
        self.error: UpstreamError | None = None

    def succeed(self, connection: Connection) -> None:
        """Give the connection to all who wait."""
        self.connection = connection
        self.done.set()

    def fail(self, error: UpstreamError) -> None:
        """Give the error to all who wait, unless they have been told."""
        if not self.done.is_set():
            self.error = error
            self.done.set()


class Slot:
    """The place of one server in the pool, across its connections."""

    def __init__(self, server: Server, profile: Profile = SHARED) -> None:
        self.server = server
        self.profile = profile
        self.listeners = 0
        """How many listen to changes: as long as anybody does, it is in use."""
        self.is_closed = False
        """Whether it was closed on purpose, for good."""
        self.connection: Connection | None = None
        self.attempt: Attempt | None = None
        self.owners: dict[anyio.CancelScope, anyio.Event] = {}
        self.header_maps: dict[str, HeaderMap] = {}
        self.redact = Redactor(())
        self.redact_listing = Redactor(())
        self.opened = 0
        self.failures = 0
        """Openings that failed, in a row."""
        self.losses = 0
        """Connections that were lost without one answer between."""
        self.retry_at = 0.0
        self.last_error: str | None = None
        self.last_tail: tuple[str, ...] = ()
        self.is_called = False
        """Whether its connection has been used for anything but listing."""
        self._openings = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._reopenings = Backoff(_FIRST_PAUSE_S, _LONGEST_AFTER_LOSS_S)
        self._losses = Backoff(1.0, _LONGEST_DEAFNESS_S)

    def take(self, connection: Connection) -> None:
        """Put a freshly opened connection to use."""
        self.connection, self.attempt, self.last_error = connection, None, None
        self.opened += 1
        self.failures = 0
        self.is_called = False

    def drop(self, connection: Connection) -> None:
        """Stop using a connection that is being closed."""
        if self.connection is connection:
            self.connection = None

    def find_live(self) -> Connection | None:
        """Find the connection, if it can be used."""
        connection = self.connection
        if connection is not None and connection.is_lost:
            self.note_loss(connection, None)
            return None
        return connection

    def note_loss(self, connection: Connection, reason: str | None) -> None:
        """Count a lost connection, once. The first after a success is repaired at once."""
        if self.connection is connection:
            self.connection = None
            self.last_tail = connection.describe().stderr_tail
            self.losses += 1
            if self.losses > 1:
                self.retry_at = time.monotonic() + self._reopenings.pause_s(self.losses - 1)
        if reason is not None:
            self.last_error = self.redact(reason)

    def pause_after_loss_s(self, lived_s: float) -> float:
        """How long to wait before the end of a connection that was listened on is made good."""
        if lived_s > _STEADY_S:
            self._losses.reset()
        return self._losses.next_s()

    def note_failure(self, error: UpstreamError, *, retry_after_s: float | None) -> None:
        """Count an opening that failed."""
        self.failures += 1
        self.last_error = reason_of(error)
        asked_s = min(retry_after_s or 0.0, _LONGEST_ASKED_S)
        pause_s = max(self._openings.pause_s(self.failures), asked_s)
        self.retry_at = time.monotonic() + pause_s

    def note_answer(self) -> None:
        """Take note that it is well."""
        self.losses = 0

    def note_listing(self, listing: Listing) -> None:
        """Remember which arguments its tools want mirrored in headers."""
        self.note_answer()
        if listing.unchanged:
            return
        self.header_maps.clear()
        self.note_tools(listing.tools)

    def note_tools(self, tools: object) -> None:
        """Remember it of some of its tools, whoever listed them."""
        for name, found in header_maps(tools):
            self.header_maps.pop(name, None)
            if found:
                self.header_maps[name] = found
        while len(self.header_maps) > _MOST_HEADER_MAPS:  # it may list other tools each time
            del self.header_maps[next(iter(self.header_maps))]

    @property
    def is_in_use(self) -> bool:
        """Whether anybody waits for something of it, or listens."""
        connection = self.connection
        return bool(
            self.listeners or self.attempt or (connection is not None and connection.in_flight)
        )

    def is_idle(self, for_s: float) -> bool:
        """Whether there is a connection that nobody has used for so long."""
        if self.connection is None or self.is_in_use:
            return False
        return anyio.current_time() - self.connection.last_used > for_s

    def close(self) -> None:
        """Have the connections closed, for good."""
        self.is_closed = True
        self.cancel_owners()

    def cancel_owners(self) -> None:
        """Have every connection of this place closed by the task that owns it."""
        for scope in self.owners:
            scope.cancel()

    async def retire(self) -> None:
        """Close every connection of this place for good, and wait until they are."""
        owners = dict(self.owners)
        self.close()
        for closed in owners.values():
            await closed.wait()

    @property
    def waits_s(self) -> float:
        """How long until the next attempt is due."""
        return max(0.0, self.retry_at - time.monotonic())


def describe_slot(slot: Slot) -> ConnectionState:
    """Say how a server's connection stands, with every text redacted."""
    connection = slot.connection
    base = ConnectionState(
        server=slot.server.name,
        status=_status(slot),
        opened=slot.opened,
        last_error=slot.last_error,
        retry_after_s=slot.waits_s or None,
        stderr_tail=tuple(slot.redact(line) for line in slot.last_tail),
    )
    if connection is None:
        return base
    seen = connection.describe()
    return replace(
        base,
        protocol_version=connection.greeting.protocol_version,
        pids=seen.pids,
        in_flight=connection.in_flight,
        noise=seen.noise,
        hears=tuple(sorted(connection.hearing.kinds)),
        stderr_tail=tuple(slot.redact(line) for line in seen.stderr_tail),
    )


def describe_places(slots: Sequence[Slot]) -> ConnectionState:
    """Say how a server stands: by its shared place, the private ones counted in."""
    states = [describe_slot(slot) for slot in slots]
    first = next((s for slot, s in zip(slots, states, strict=True) if not slot.profile.key), None)
    private = sum(bool(slot.profile.key and slot.connection) for slot in slots)
    if len(states) == 1 and first is not None:
        return first
    return replace(
        first or max(states, key=lambda state: state.status is LinkStatus.OPEN),
        pids=tuple(pid for state in states for pid in state.pids),
        opened=sum(state.opened for state in states),
        in_flight=sum(state.in_flight for state in states),
        noise=sum(state.noise for state in states),
        private=private,
    )


def _status(slot: Slot) -> LinkStatus:
    if slot.connection is not None and not slot.connection.is_lost:
        return LinkStatus.OPEN
    if slot.attempt is not None:
        return LinkStatus.OPENING
    return LinkStatus.WAITING if slot.waits_s > 0 else LinkStatus.CLOSED
