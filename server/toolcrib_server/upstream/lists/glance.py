"""Asks a server whether all it lists is as it was, at the price of the one request per list.

For servers over Streamable HTTP that speak 2026-07-28, where a request needs no greeting before it
and no connection is kept after it. What a server said when it was last greeted is taken from its
health. It is asked the cheapest way first, and by a link where that cannot read the answer; when
that is not exactly what was known, nothing is concluded, and the server is greeted and listed as
if for the first time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from toolcrib_registry.errors import UpstreamTimeout
from toolcrib_registry.types import HttpTransport, Server, ServerName, ServerStatus
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.connection import Connection
from toolcrib_server.upstream.connecting.era import Envelope, Greeting
from toolcrib_server.upstream.failures import LinkFailure
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.messages import rpc
from toolcrib_server.upstream.messages.audience import Audience
from toolcrib_server.upstream.messages.hearing import Attention, Hearing
from toolcrib_server.upstream.messages.incoming import Nobody
from toolcrib_server.upstream.network.endpoint_client import EndpointClient
from toolcrib_server.upstream.network.network import SharedNetwork
from toolcrib_server.upstream.network.postbox import Postbox
from toolcrib_server.upstream.transports.http import ACCEPT, HttpLink, read_response

from .digest import digest_pages
from .listing import Listing, unchanged_listing
from .shelves import Pages, read_shelves

_SPREAD = 0.25
_MOST_IDS = 2**31


class Glance:
    """Looks at servers that are known, through connections that they share."""

    def __init__(self, *, limits: LinkLimits, attention: Attention) -> None:
        self._attention = attention
        self._limits = limits
        self._postbox = Postbox(limit_bytes=limits.max_message_bytes)
        self._network = SharedNetwork()
        self._not_plain: set[ServerName] = set()
        """Servers whose answers the postbox cannot read, until they are greeted again."""
        self._greet_at: dict[ServerName, float] = {}
        self._nothing_to_mask = Redactor(())

    async def aclose(self) -> None:
        """Close the connections."""
        self._postbox.close()
        await self._network.aclose()

    def note_greeting(self, name: ServerName, greeted_at: float) -> None:
        """Remember when a server was greeted, by the clock of the event loop."""
        spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  # not a secret
        self._greet_at[name] = greeted_at + self._attention.greet_again_s * spread
        self._not_plain.discard(name)

    def forget(self, name: ServerName) -> None:
        """Have a server greeted before it is looked at again: it may be another one now."""
        self._greet_at[name] = 0.0
        self._not_plain.discard(name)

    def knows(self, server: Server) -> bool:
        """Whether a glance can tell: what the server said is known, and not for too long."""
        health = server.health
        if (
            health.protocol_version not in MODERN_PROTOCOL_VERSIONS
            or health.capabilities is None
            or health.status is ServerStatus.UNREACHABLE
            or not isinstance(server.transport, HttpTransport)
        ):
            return False
        return self._due(server.name) > anyio.current_time()

    def _due(self, name: ServerName) -> float:
        due = self._greet_at.get(name)
        if due is None:
            # Greeted by a process before this one: its servers come due one by one, not all now.
            share = random.random()  # noqa: S311  # not a secret
            due = self._greet_at[name] = (
                anyio.current_time() + self._attention.greet_again_s * share
            )
        return due

    async def look(
        self, server: Server, transport: HttpTransport, known_digest: str, *, timeout_s: float
    ) -> Listing | None:
        """List a server; None unless everything is as when ``known_digest`` was made.

        Raises:
            UpstreamTimeout: It did not answer in time.
        """
        greeting = _known_greeting(server)
        pages = await self._read_plainly(server, transport, greeting, timeout_s)
        if pages is None:
            connection = self._connect(server, transport)
            connection.adopt(greeting)
            try:
                pages = await read_shelves(
                    partial(connection.request, timeout_s=timeout_s), greeting
                )
            except LinkFailure:
                return None  # the full listing meets the same, and says it well
        digest = digest_pages(pages, greeting, redact=self._nothing_to_mask)
        if digest is None or digest != known_digest:
            return None
        return unchanged_listing(pages, greeting, digest)

    async def _read_plainly(
        self, server: Server, transport: HttpTransport, greeting: Greeting, timeout_s: float
    ) -> Pages | None:
        """Read the lists in the cheapest way; None when they want another.

        Raises:
            UpstreamTimeout: It did not answer in time.
        """
        if server.name in self._not_plain:
            return None
        plainly = _PlainRequests(
            self._postbox, server.name, transport, Envelope(greeting.protocol_version), timeout_s
        )
        try:
            return await read_shelves(plainly.ask, greeting)
        except LinkFailure:
            self._not_plain.add(server.name)
            return None

    def _connect(self, server: Server, transport: HttpTransport) -> Connection:
        client = EndpointClient(
            transport.url, transport.headers, limits=self._limits, shared=self._network
        )
        link = HttpLink(client, limits=self._limits, outside=Nobody())
        audience = Audience(Hearing(server.name, _tell_nobody))
        return Connection(server.name, link, audience, self._attention)


@dataclass(frozen=True, slots=True)
class _PlainRequests:
    """Requests to one server by the postbox, in the envelope that it is known to want."""

    postbox: Postbox
    server: ServerName
    transport: HttpTransport
    envelope: Envelope
    timeout_s: float

    async def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its raw result.

        Raises:
            UpstreamTimeout: It took longer.
            LinkFailure: There is no result that can be read this way.
        """
        # What was not asked for just now on this connection does not name this number.
        call_id = random.randrange(1, _MOST_IDS)  # noqa: S311  # a guess gains nothing
        full, fields = self.envelope.wrap(method, params)
        own = {name.lower(): value for name, value in self.transport.headers.items()}
        headers = {**own, **ACCEPT, **fields}
        body = encode(rpc.request(call_id, method, full))
        try:
            with anyio.fail_after(self.timeout_s):
                answer = await self.postbox.post(self.transport.url, headers, body)
        except TimeoutError:
            raise UpstreamTimeout(self.server, method, self.timeout_s) from None
        return read_response(answer, call_id)


def _known_greeting(server: Server) -> Greeting:
    health = server.health
    return Greeting(
        protocol_version=health.protocol_version or "",
        capabilities=health.capabilities or {},
        name=health.reported_name,
        version=health.reported_version,
        instructions=health.instructions,
    )


def _tell_nobody(name: ServerName) -> None:
    """Do nothing: nobody listens on a connection that is not kept."""
