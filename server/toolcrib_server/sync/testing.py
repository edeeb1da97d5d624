"""Upstream servers in memory, for tests of what syncs them: lists that change, and faults at will.

A second `Lister`. Objects travel page by page through the same reading as those of real servers,
so that what is malformed is set aside as it would be. Knows no transport.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from toolcrib_registry.errors import UpstreamTimeout, UpstreamUnavailable
from toolcrib_registry.types import Server, ServerName
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.failures import LinkFailure, LinkLost, RpcFailure
from toolcrib_server.upstream.lists.listing import Listing, read_listing
from toolcrib_server.upstream.lists.schemas import SchemaCheck
from toolcrib_server.upstream.pool.translation import translate

_KEYS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
_INTERNAL_ERROR = -32603


class Fault(StrEnum):
    """What is wrong with a server."""

    DOWN = "down"
    """It cannot be reached."""
    SILENT = "silent"
    """It does not answer in time."""
    CRASHES = "crashes"
    """It answers the first page and dies."""
    LOOPS = "loops"
    """Its list never ends: a cursor comes again."""
    BREAKS_PROMPTS = "breaks-prompts"
    """It lists its tools, and answers for its prompts with an error."""


@dataclass(slots=True)
class MemoryUpstream:
    """One server: what it lists, in its order, each object as it would send it."""

    tools: list[Any] = field(default_factory=list[Any])
    prompts: list[Any] = field(default_factory=list[Any])
    resources: list[Any] = field(default_factory=list[Any])
    page_size: int = 3
    fault: Fault | None = None
    listed: int = 0
    """How often it was asked for everything."""
    open: int = 0
    """How many are listing it at this moment."""
    most_open: int = 0

    async def answer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request for a page.

        Raises:
            LinkFailure: As its fault has it.
        """
        start = int(params.get("cursor") or 0)
        if self.fault is Fault.CRASHES and (start or method != "tools/list"):
            raise LinkLost("went away in the middle of its list")
        if self.fault is Fault.BREAKS_PROMPTS and method == "prompts/list":
            raise RpcFailure(_INTERNAL_ERROR, "internal error")
        objects = self._objects(method)
        end = start + self.page_size
        page: dict[str, Any] = {_KEYS[method]: list(objects[start:end])}
        if self.fault is Fault.LOOPS:
            page["nextCursor"] = "0"
        elif end < len(objects) or (self.fault is Fault.CRASHES and not start):
            page["nextCursor"] = str(end)
        return page

    def _objects(self, method: str) -> Sequence[Any]:
        match _KEYS[method]:
            case "tools":
                return self.tools
            case "prompts":
                return self.prompts
            case "resources":
                return self.resources
            case _:
                return ()


class MemoryUpstreams:
    """A `Lister` of servers in memory, by name; one that it does not know cannot be reached.

    ``on_answer`` is awaited with the name each time that a server has given all its pages, which
    are not yet in the caller's hands: what happens there happens in the middle of a sync.
    """

    def __init__(self, servers: Mapping[str, MemoryUpstream] | None = None) -> None:
        self.servers: dict[str, MemoryUpstream] = dict(servers or {})
        self.dropped: list[ServerName] = []
        self.on_answer: Callable[[ServerName], Awaitable[None]] | None = None
        self._check = SchemaCheck()

    def share(self) -> MemoryUpstreams:
        """Give another lister of the same servers, as another process would have."""
        other = MemoryUpstreams()
        other.servers, other._check = self.servers, self._check
        return other

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        """List everything a server has.

        Raises:
            UpstreamError: It has a fault, or is not known.
        """
        upstream = self.servers.get(server.name)
        if upstream is None or upstream.fault is Fault.DOWN:
            raise UpstreamUnavailable(server.name, "nobody listens")
        if upstream.fault is Fault.SILENT:
            raise UpstreamTimeout(server.name, "tools/list", 60)
        upstream.listed += 1
        upstream.open += 1
        upstream.most_open = max(upstream.most_open, upstream.open)
        try:
            return await self._read(server.name, upstream, known_digest)
        finally:
            upstream.open -= 1

    async def _read(
        self, name: ServerName, upstream: MemoryUpstream, known_digest: str | None
    ) -> Listing:
        offered: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
        greeting = Greeting(protocol_version="2026-07-28", capabilities=offered, name=name)
        try:
            listing = await read_listing(
                upstream.answer, greeting, check=self._check, known_digest=known_digest
            )
        except LinkFailure as failure:
            raise translate(name, failure, Redactor(())) from failure
        if self.on_answer:
            await self.on_answer(name)
        return listing

    async def aclose_server(self, name: ServerName) -> None:
        """Note that the link was dropped."""
        self.dropped.append(name)
