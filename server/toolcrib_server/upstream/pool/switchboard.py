"""Opens, keeps, repairs and closes the connections of each server; knows no request.

There is one for everybody, and, to servers of the handshake era, one for each client that declares
anything. One task owns each connection, from opening to closing; no lock is held across a wait, so
a server that hangs or is dead delays nobody else. Of servers that announce changes, some are
listened to: those connections are kept though idle.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial

import anyio
import anyio.abc
import anyio.to_thread

from toolcrib_registry.errors import (
    Fault,
    InvalidConfig,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.upstream.config.endpoint import check_url
from toolcrib_server.upstream.config.place import Place
from toolcrib_server.upstream.config.references import LiveTransport, Resolved, Secrets, resolve
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.connection import Connection, open_link
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.failures import LinkFailure, LinkLost
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages.audience import Audience
from toolcrib_server.upstream.messages.hearing import Attention, Hearing
from toolcrib_server.upstream.messages.interaction import SHARED, Profile
from toolcrib_server.upstream.oauth.authorizer import Authorizer
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.processes.room import Room
from toolcrib_server.upstream.processes.stderr_log import StderrLogs, StderrWriter

from .eras import Identity
from .places import Capacity, Places
from .slot import Attempt, ConnectionState, Slot
from .tenancy import Tenancy
from .translation import reason_of, translate

logger = logging.getLogger(__name__)

_SLACK_S = 5.0
_CLOSE_S = 15.0
_LONGEST_REAP_PAUSE_S = 15.0


class Switchboard:
    """The connections of all servers, each in its place. Runs its tasks in ``tasks``."""

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        *,
        secrets: Secrets,
        logins: Logins | None = None,
        env: Mapping[str, str],
        limits: LinkLimits,
        capacity: Capacity,
        attention: Attention,
        tell: Callable[[ServerName], None],
        logs: StderrLogs | None = None,
    ) -> None:
        self._tasks = tasks
        self._logs = logs
        self._room = Room(capacity.processes, self._tenancies)
        self._secrets = secrets
        self._logins = logins
        self._env = env
        self._limits = limits
        self._capacity = capacity
        self._attention = attention
        self._tell = tell
        self._places = Places(capacity)
        self._listening: set[Connection] = set()
        self._warm: set[Connection] = set()

    def states(self) -> tuple[ConnectionState, ...]:
        """Say how each server stands, by name."""
        return self._places.describe()

    def is_at_rest(self, name: ServerName) -> bool:
        """Whether nothing of a server's shared connection is open, opening or to be waited out."""
        slot = self._places.find(name)
        return slot is None or not (slot.connection or slot.attempt or slot.waits_s > 0)

    def is_listening(self, connection: Connection) -> bool:
        """Whether a connection is kept to hear of changes."""
        return connection in self._listening

    def may_listen(self, announced: Collection[str]) -> bool:
        """Whether one more server, which announces changes of these lists, can be listened to."""
        return bool(announced) and len(self._listening) < self._attention.max_listening

    async def aclose_server(self, name: ServerName) -> None:
        """Close every connection to a server and forget its failures."""
        await self._aclose(self._places.clear_server(name))

    async def aclose_profile(self, key: str) -> None:
        """Close every connection of one client."""
        await self._aclose(self._places.clear_profile(key))

    async def _aclose(self, slots: Collection[Slot]) -> None:
        for slot in slots:
            slot.close()
        with anyio.move_on_after(_CLOSE_S):
            for slot in slots:
                await slot.retire()

    def let_go(self, slot: Slot, connection: Connection) -> None:
        """Close a connection that was opened for a listing alone, where many others are open."""
        is_needed = connection in self._listening or slot.is_called or slot.is_in_use
        if is_needed or len(self._warm) <= self._capacity.warm:
            return
        slot.drop(connection)
        slot.cancel_owners()
        if not slot.header_maps:
            self._places.forget(slot)  # nothing about it is worth remembering

    def find(self, name: ServerName, profile: Profile) -> tuple[Slot, Connection] | None:
        """Find the live connection that a client has; nothing is opened."""
        slot = self._places.find(name, profile.key)
        connection = None if slot is None else slot.find_live()
        return None if slot is None or connection is None else (slot, connection)

    async def connect(self, server: Server, profile: Profile = SHARED) -> tuple[Slot, Connection]:
        """Find the live connection to a server for this client, or open one.

        Raises:
            UpstreamError: It cannot be opened.
            NotCallable: The server is a catalogue.
        """
        if profile.key and self._places.eras.speaks_handshake(server, profile):
            return await self._connect(server, profile)
        slot, connection = await self._connect(server, SHARED)
        if profile.key and not connection.greeting.is_modern:
            return await self._connect(server, profile)
        return slot, connection

    async def _connect(self, server: Server, profile: Profile) -> tuple[Slot, Connection]:
        slot = self._places.find(server.name, profile.key)
        if slot is not None and (
            slot.server is server or slot.server.transport == server.transport
        ):
            connection = slot.find_live()
            if connection is not None:
                if profile.key:
                    slot.profile = profile
                    with contextlib.suppress(LinkFailure):  # its request will meet the same
                        await connection.belong_to(profile)
                return slot, connection
        else:
            slot = self._places.make(server, profile, instead=slot)
        slot.profile = profile
        return slot, await self._open(slot, server)

    async def _open(self, slot: Slot, server: Server) -> Connection:
        attempt = slot.attempt
        if attempt is None:
            wait_s = slot.waits_s
            if wait_s > 0:
                raise _unopened(slot, _waiting(slot, wait_s))
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
            except UpstreamUnavailable as error:  # no room: nothing that it did
                slot.last_error = reason_of(error)
                attempt.fail(_unsent(error))
            except Exception:
                logger.exception("The connection to %s broke", slot.server.name)
                self._fail(slot, attempt, LinkLost("an error in Toolcrib; see its log"))
            finally:
                closing = UpstreamUnavailable(slot.server.name, "the connection was closed")
                attempt.fail(_unsent(closing))
                if slot.attempt is attempt:
                    slot.attempt = None
                del slot.owners[scope]
                closed.set()

    async def _open_and_hold(self, slot: Slot, attempt: Attempt) -> None:
        try:
            resolved = await anyio.to_thread.run_sync(self.resolve, slot.server)
        except InvalidConfig as error:
            slot.last_error = error.detail.rstrip(".")
            attempt.fail(_unsent(UpstreamUnavailable(slot.server.name, slot.last_error)))
            return
        slot.redact = Redactor(resolved.secrets)
        slot.redact_listing = Redactor(resolved.credentials)
        known = self._places.eras.begins_with_handshake(slot.server, slot.profile)
        hold = partial(self._hold, slot, attempt, resolved.transport)
        failure = await hold(handshake_first=known, is_guess=known and not slot.profile.handshake)
        # Some old servers die of a method they do not know, some new ones of a handshake; and one
        # that is not what it was may speak otherwise now.
        if failure is not None and not slot.profile.handshake:
            failure = await hold(handshake_first=not known, is_guess=False)
        if failure is not None:
            self._fail(slot, attempt, failure)

    async def _hold(
        self,
        slot: Slot,
        attempt: Attempt,
        transport: LiveTransport,
        *,
        handshake_first: bool,
        is_guess: bool,
    ) -> LinkLost | None:
        """Keep one connection; return why it is to be opened in the way of the other era.

        ``is_guess``: that it begins with a handshake is concluded from how it was met before.
        """
        server = slot.server
        audience = Audience(Hearing(server.name, self._tell))
        heard_s: float | None = None
        async with (
            self._enter_room(server, transport),
            audience.open(),
            open_link(
                transport,
                limits=self._limits,
                outside=audience,
                authorizer=self._authorizer(server, transport),
                log=self._logs and StderrWriter(self._logs, server.name, slot.redact),
            ) as link,
        ):
            connection = Connection(server.name, link, audience, self._attention)
            try:
                await connection.greet(
                    timeout_s=server.start_timeout_s,
                    handshake_first=handshake_first,
                    profile=slot.profile,
                )
            except (LinkFailure, TimeoutError) as failure:
                slot.last_tail = connection.describe().stderr_tail
                if is_guess:
                    self._places.eras.doubt(server)
                if isinstance(failure, LinkLost) and isinstance(transport, StdioTransport):
                    return failure
                self._fail(slot, attempt, failure)
                return None
            if not self._recognises(slot, connection.greeting, is_guess=is_guess):
                return LinkLost("it is not the server that it was")
            heard_s = await self._serve(slot, attempt, connection)
        if heard_s is not None:
            # Nothing is heard of it any more: the sync that this brings about opens it again.
            await anyio.sleep(slot.pause_after_loss_s(heard_s))
            self._tell(server.name)
        return None

    def _recognises(self, slot: Slot, greeting: Greeting, *, is_guess: bool) -> bool:
        """Remember what a server is; False if it was greeted as what it has ceased to be."""
        eras, mask = self._places.eras, slot.redact_listing.mask_all
        identity = Identity(greeting.protocol_version, mask(greeting.name), mask(greeting.version))
        if is_guess and not greeting.is_modern and not eras.is_as_met(slot.server, identity):
            eras.doubt(slot.server)
            return False
        asked = not is_guess or greeting.is_modern
        eras.note(slot.server, slot.profile, identity, is_modern=greeting.is_modern, asked=asked)
        return True

    def _enter_room(
        self, server: Server, transport: LiveTransport
    ) -> contextlib.AbstractAsyncContextManager[None]:
        if not isinstance(transport, StdioTransport):
            return contextlib.nullcontext()
        return self._room.enter(server.name, wait_s=server.start_timeout_s)

    def _tenancies(self) -> list[Tenancy]:
        return [
            Tenancy(slot, slot.connection)
            for slot in self._places
            if slot.connection is not None and isinstance(slot.server.transport, StdioTransport)
        ]

    async def watch_memory(self) -> None:
        """Hold the servers' processes to the memory they may take."""
        await self._room.watch()

    def _authorizer(self, server: Server, transport: LiveTransport) -> Authorizer | None:
        if self._logins is None or isinstance(transport, StdioTransport):
            return None
        return self._logins.find(server.name, transport)

    async def _serve(self, slot: Slot, attempt: Attempt, connection: Connection) -> float | None:
        """Keep a greeted connection until it is lost; return how long it was listened on."""
        started = anyio.current_time()
        listens = not slot.profile.key and self.may_listen(connection.announced)
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
        if isinstance(error, UpstreamUnavailable):
            error.retry_after_s = slot.waits_s
        attempt.fail(_unopened(slot, error))

    async def reap(self) -> None:
        """Close what has been idle for long, again and again."""
        shortest_s = min(self._capacity.idle_timeout_s, self._capacity.private_idle_timeout_s)
        pause_s = min(_LONGEST_REAP_PAUSE_S, shortest_s / 4)
        while True:
            await anyio.sleep(pause_s)
            for slot in tuple(self._places):
                if slot.profile.key:
                    self._reap_private(slot)
                elif slot.connection is not None:
                    self._reap_shared(slot, slot.connection)

    def _reap_shared(self, slot: Slot, connection: Connection) -> None:
        if connection.hearing.is_vain:
            self._listening.discard(connection)  # its place is free for another
        if connection not in self._listening and slot.is_idle(self._capacity.idle_timeout_s):
            slot.drop(connection)
            slot.cancel_owners()

    def _reap_private(self, slot: Slot) -> None:
        is_unused = slot.connection is None and not slot.is_in_use and slot.waits_s <= 0
        if is_unused or slot.is_idle(self._capacity.private_idle_timeout_s):
            self._places.forget(slot)
            slot.close()


def _waiting(slot: Slot, wait_s: float) -> UpstreamUnavailable:
    reason = slot.last_error or "it was lost"
    return UpstreamUnavailable(slot.server.name, reason, retry_after_s=wait_s)


def _unopened(slot: Slot, error: UpstreamError) -> UpstreamError:
    """Say of an error whether anybody, or one client alone, cannot connect."""
    error.is_unsent = True
    error.fault = Fault.CONNECTION if slot.profile.key else Fault.SERVER
    return error


def _unsent(error: UpstreamError) -> UpstreamError:
    """Say of an error that it tells nothing of the server, which was not asked."""
    error.is_unsent = True
    error.fault = Fault.CONNECTION
    return error
