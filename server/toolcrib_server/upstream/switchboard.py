"""Opens, keeps, repairs and closes the one connection of each server; knows no request.

One task owns each connection, from opening to closing; no lock is held across a wait, so a server
that hangs or is dead delays nobody else. Of servers that announce changes, some are listened to:
those connections are kept though idle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import anyio
import anyio.abc
import anyio.to_thread

from toolcrib_registry.errors import (
    InvalidConfig,
    NotCallable,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import CatalogTransport, Server, ServerName, StdioTransport

from .connection import Connection, open_link
from .endpoint import check_url
from .failures import LinkFailure, LinkLost
from .hearing import Attention, Hearing
from .link import LinkLimits
from .place import Place
from .references import LiveTransport, Resolved, Secrets, resolve
from .secrets import Redactor
from .slot import Attempt, ConnectionState, Slot, describe_slot
from .translation import translate

logger = logging.getLogger(__name__)

_SLACK_S = 5.0
_CLOSE_S = 15.0
_LONGEST_REAP_PAUSE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many connections stay open when nobody uses them, and for how long."""

    idle_timeout_s: float
    warm: int
    """Connections that were opened for a listing alone, and are kept for what may come next."""


class Switchboard:
    """The connections of all servers, each in its place. Runs its tasks in ``tasks``."""

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        *,
        secrets: Secrets,
        env: Mapping[str, str],
        limits: LinkLimits,
        capacity: Capacity,
        attention: Attention,
        tell: Callable[[ServerName], None],
    ) -> None:
        self._tasks = tasks
        self._secrets = secrets
        self._env = env
        self._limits = limits
        self._capacity = capacity
        self._attention = attention
        self._tell = tell
        self._slots: dict[ServerName, Slot] = {}
        self._listening: set[Connection] = set()
        self._warm: set[Connection] = set()

    def states(self) -> tuple[ConnectionState, ...]:
        """Say how each connection stands, by server name."""
        return tuple(describe_slot(slot) for _, slot in sorted(self._slots.items()))

    def is_at_rest(self, name: ServerName) -> bool:
        """Whether a server has no connection, open or opening, and no failure to wait out."""
        slot = self._slots.get(name)
        return slot is None or not (slot.connection or slot.attempt or slot.waits_s > 0)

    def is_listening(self, connection: Connection) -> bool:
        """Whether a connection is kept to hear of changes."""
        return connection in self._listening

    def may_listen(self, announced: Collection[str]) -> bool:
        """Whether one more server, which announces changes of these lists, can be listened to."""
        return bool(announced) and len(self._listening) < self._attention.max_listening

    async def aclose_server(self, name: ServerName) -> None:
        """Close the connection to a server and forget its failures."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            with anyio.move_on_after(_CLOSE_S):
                await slot.retire()

    def let_go(self, slot: Slot, connection: Connection) -> None:
        """Close a connection that was opened for a listing alone, where many others are open."""
        is_needed = connection in self._listening or slot.is_called or connection.in_flight
        if is_needed or len(self._warm) <= self._capacity.warm:
            return
        slot.drop(connection)
        slot.cancel_owners()
        if not slot.handshake_first and not slot.header_maps:
            self._slots.pop(slot.server.name, None)  # nothing about it is worth remembering

    async def connect(self, server: Server) -> tuple[Slot, Connection]:
        """Find the live connection of a server, or open one.

        Raises:
            UpstreamError: It cannot be opened.
            NotCallable: The server is a catalogue.
        """
        slot = self._slots.get(server.name)
        if slot is not None and (
            slot.server is server or slot.server.transport == server.transport
        ):
            connection = slot.find_live()
            if connection is not None:
                return slot, connection
        else:
            slot = self._place(server, slot)
        return slot, await self._open(slot, server)

    def _place(self, server: Server, old: Slot | None) -> Slot:
        if isinstance(server.transport, CatalogTransport):
            source = server.transport.source
            raise NotCallable(
                f"Server {server.name!r} was imported from {source}; register the live server to "
                "call its tools."
            )
        if old is not None:
            old.cancel_owners()
        slot = self._slots[server.name] = Slot(server)
        return slot

    async def _open(self, slot: Slot, server: Server) -> Connection:
        attempt = slot.attempt
        if attempt is None:
            wait_s = slot.waits_s
            if wait_s > 0:
                raise UpstreamUnavailable(
                    server.name, slot.last_error or "it was lost", retry_after_s=wait_s
                )
            slot.server = server
            attempt = slot.attempt = Attempt()
            self._tasks.start_soon(self._own, slot, attempt)
        # The attempt has its own deadline; this one is for the case that it breaks.
        with anyio.move_on_after(server.start_timeout_s + _SLACK_S):
            await attempt.done.wait()
        if attempt.connection is None:
            raise attempt.error or UpstreamTimeout(server.name, "start", server.start_timeout_s)
        return attempt.connection

    async def _own(self, slot: Slot, attempt: Attempt) -> None:
        """Open one connection, keep it, close it: all in this task."""
        with anyio.CancelScope() as scope:
            closed = slot.owners[scope] = anyio.Event()
            try:
                await self._open_and_hold(slot, attempt)
            except LinkFailure as failure:
                self._fail(slot, attempt, failure)
            except Exception:
                logger.exception("The connection to %s broke", slot.server.name)
                self._fail(slot, attempt, LinkLost("an error in Toolcrib; see its log"))
            finally:
                attempt.fail(UpstreamUnavailable(slot.server.name, "the connection was closed"))
                if slot.attempt is attempt:
                    slot.attempt = None
                del slot.owners[scope]
                closed.set()

    async def _open_and_hold(self, slot: Slot, attempt: Attempt) -> None:
        try:
            resolved = await anyio.to_thread.run_sync(self.resolve, slot.server)
        except InvalidConfig as error:
            slot.last_error = error.detail.rstrip(".")
            attempt.fail(UpstreamUnavailable(slot.server.name, slot.last_error))
            return
        slot.redact = Redactor(resolved.secrets)
        slot.redact_listing = Redactor(resolved.credentials)
        died_of = await self._hold(slot, attempt, resolved.transport)
        if died_of is not None and not slot.handshake_first:
            # Some old servers die of a method they do not know; they are not probed again.
            slot.handshake_first = True
            died_of = await self._hold(slot, attempt, resolved.transport)
            slot.handshake_first = died_of is None and slot.handshake_first
        if died_of is not None:
            self._fail(slot, attempt, died_of)

    async def _hold(
        self, slot: Slot, attempt: Attempt, transport: LiveTransport
    ) -> LinkLost | None:
        """Keep one connection; return what it died of when its process ended at the greeting."""
        server = slot.server
        hearing = Hearing(server.name, self._tell)
        heard_s: float | None = None
        async with open_link(
            transport, limits=self._limits, on_notification=hearing.on_notification
        ) as link:
            connection = Connection(server.name, link, hearing, self._attention)
            try:
                await connection.greet(
                    timeout_s=server.start_timeout_s, handshake_first=slot.handshake_first
                )
            except (LinkFailure, TimeoutError) as failure:
                slot.last_tail = connection.describe().stderr_tail
                if isinstance(failure, LinkLost) and isinstance(transport, StdioTransport):
                    return failure
                self._fail(slot, attempt, failure)
                return None
            heard_s = await self._serve(slot, attempt, connection)
        if heard_s is not None:
            # Nothing is heard of it any more: the sync that this brings about opens it again.
            await anyio.sleep(slot.pause_after_loss_s(heard_s))
            self._tell(server.name)
        return None

    async def _serve(self, slot: Slot, attempt: Attempt, connection: Connection) -> float | None:
        """Keep a greeted connection until it is lost; return how long it was listened on."""
        started = anyio.current_time()
        listens = self.may_listen(connection.announced)
        (self._listening if listens else self._warm).add(connection)
        slot.take(connection)
        attempt.succeed(connection)
        try:
            reason = await connection.serve(listen=listens)
            slot.note_loss(connection, reason)
            logger.info("The connection to %s ended: %s", slot.server.name, slot.last_error)
        finally:
            slot.drop(connection)
            self._listening.discard(connection)
            self._warm.discard(connection)
        heard = listens and not connection.hearing.is_vain
        return anyio.current_time() - started if heard else None

    def resolve(self, server: Server) -> Resolved:
        """Fill in the references in a server's settings. Reads files.

        Raises:
            InvalidConfig: One cannot be filled in, or the URL cannot be used.
        """
        resolved = resolve(server, env=self._env, secrets=self._secrets)
        url = getattr(resolved.transport, "url", None)
        if url is not None:
            check_url(url, Place(f"server {server.name!r}", "url"), resolved=True)
        return resolved

    def _fail(self, slot: Slot, attempt: Attempt, failure: LinkFailure | TimeoutError) -> None:
        server = slot.server
        if isinstance(failure, LinkFailure):
            error = translate(server.name, failure, slot.redact)
            retry_after_s = getattr(failure, "retry_after_s", None)
        else:
            error = UpstreamTimeout(server.name, "start", server.start_timeout_s)
            retry_after_s = None
        slot.note_failure(error, retry_after_s=retry_after_s)
        slot.attempt = None
        attempt.fail(error)

    async def reap(self) -> None:
        """Close what has been idle for long, again and again."""
        pause_s = min(_LONGEST_REAP_PAUSE_S, self._capacity.idle_timeout_s / 4)
        while True:
            await anyio.sleep(pause_s)
            now = anyio.current_time()
            for slot in self._slots.values():
                connection = slot.connection
                if connection is None:
                    continue
                if connection.hearing.is_vain:
                    self._listening.discard(connection)  # its place is free for another
                if connection.in_flight or connection in self._listening:
                    continue
                if now - connection.last_used > self._capacity.idle_timeout_s:
                    slot.drop(connection)
                    slot.cancel_owners()
