"""Lists everything a server has: over its connection, or, where that is cheaper, by a glance."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidConfig, UpstreamTimeout
from toolcrib_registry.types import HttpTransport, Server
from toolcrib_server.upstream.failures import LinkFailure, may_repeat
from toolcrib_server.upstream.lists.glance import Glance
from toolcrib_server.upstream.lists.listing import Listing, read_listing
from toolcrib_server.upstream.lists.schemas import SchemaCheck
from toolcrib_server.upstream.messages.hearing import announced_changes

from .switchboard import Switchboard
from .translation import translate


class Lister:
    """Reads the lists of any server."""

    def __init__(
        self,
        board: Switchboard,
        glance: Glance,
        *,
        check: SchemaCheck,
        timeout_s: float,
        agree_s: float,
    ) -> None:
        """Wait ``agree_s`` for a server to tell of changes before its lists are read."""
        self._board = board
        self._glance = glance
        self._check = check
        self._timeout_s = timeout_s
        self._agree_s = agree_s

    async def list_all(self, server: Server, known_digest: str | None) -> Listing:
        """List everything, or say that all is as when ``known_digest`` was made.

        Raises:
            UpstreamError: It cannot be listed.
            NotCallable: The server is a catalogue.
        """
        listing = None if known_digest is None else await self._look(server, known_digest)
        return listing or await self._list(server, known_digest)

    async def _look(self, server: Server, known_digest: str) -> Listing | None:
        """See whether all is as it was without a connection of its own; None: not to be told so."""
        board, glance = self._board, self._glance
        if not board.is_at_rest(server.name) or not glance.knows(server):
            return None
        if board.may_listen(announced_changes(server.health.capabilities or {})):
            return None  # there is room to hear of its changes, over a connection that stays
        try:
            transport = await self._plain_transport(server)
        except InvalidConfig:
            return None  # told by the opening of a connection
        return await glance.look(server, transport, known_digest, timeout_s=self._timeout_s)

    async def _plain_transport(self, server: Server) -> HttpTransport:
        transport = server.transport
        assert isinstance(transport, HttpTransport)
        if not any("${" in value for value in (transport.url, *transport.headers.values())):
            return transport  # nothing to fill in: no other thread is needed
        resolved = await anyio.to_thread.run_sync(self._board.resolve, server)
        assert isinstance(resolved.transport, HttpTransport)
        return resolved.transport

    async def _list(self, server: Server, known_digest: str | None) -> Listing:
        for is_last in (False, True):
            slot, connection = await self._board.connect(server)
            if self._board.is_listening(connection):
                await connection.hearing.settle_for_reading(self._agree_s)
            try:
                with anyio.fail_after(self._timeout_s):
                    await connection.keep_greeting_fresh(timeout_s=self._timeout_s)
                    listing = await read_listing(
                        partial(connection.request, timeout_s=self._timeout_s),
                        connection.greeting,
                        check=self._check,
                        redact=slot.redact_listing,
                        known_digest=known_digest,
                    )
            except TimeoutError:
                raise UpstreamTimeout(server.name, "its lists", self._timeout_s) from None
            except LinkFailure as failure:
                if is_last or not may_repeat(failure, safe=True):
                    raise translate(server.name, failure, slot.redact) from failure
            else:
                slot.note_listing(listing)
                self._glance.note_greeting(server.name, connection.greeted_at)
                self._board.let_go(slot, connection)
                return listing
        raise AssertionError("the second turn returns or raises")
