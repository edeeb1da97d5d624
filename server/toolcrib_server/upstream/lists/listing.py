"""Everything a server lists, all pages, object by object: what is malformed is set aside alone.

Objects are passed on as the server sent them. Nothing here knows how a request travels.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread

from toolcrib_registry.types import EntryKind, JsonObject, Malformed
from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.connecting.era import Greeting

from .digest import digest_pages
from .schemas import SchemaCheck
from .shelves import (
    MAX_OBJECTS,
    PROMPTS,
    RESOURCES,
    TEMPLATES,
    TOOLS,
    Ask,
    CacheScope,
    Pages,
    count_objects,
    narrowest_scope,
    read_shelves,
    shortest_ttl_ms,
)
from .sifting import WHOLE_LIST, Sifting

__all__ = ["MAX_OBJECTS", "WHOLE_LIST", "Ask", "CacheScope", "Listing", "read_listing"]

_FEW = 50
"""As many objects are digested in less time than another thread takes to begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a server lists, and what it said of itself."""

    tools: tuple[JsonObject, ...] = ()
    prompts: tuple[JsonObject, ...] = ()
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    capabilities: JsonObject | None = None
    """What it declares to offer, and of what it announces changes."""
    ttl_ms: int | None = None
    """How long the server says the lists stay true; the shortest of them."""
    cache_scope: str | None = None
    """Who may be shown them, says the server: a `CacheScope`, private as soon as one page is."""
    digest: str | None = None
    """Of all that was listed and said; None when a part of it could not be read."""
    unchanged: bool = False
    """All is as when the digest was made that the caller showed: nothing of it is repeated here."""

    @property
    def failed_kinds(self) -> frozenset[EntryKind]:
        """Kinds that the server offers but failed to list."""
        return frozenset(aside.kind for aside in self.malformed if aside.name == WHOLE_LIST)


async def read_listing(
    ask: Ask,
    greeting: Greeting,
    *,
    check: SchemaCheck,
    redact: Redactor | None = None,
    known_digest: str | None = None,
) -> Listing:
    """Read every list the server has; ``redact`` masks the secrets that it was given.

    Raises:
        LinkFailure: The tools cannot be listed, or a list never ends or is too large.
    """
    mask = redact or Redactor(())
    pages = await read_shelves(ask, greeting)
    digest = await _digest(pages, greeting, mask)
    if digest is not None and digest == known_digest:
        return unchanged_listing(pages, greeting, digest)
    sifting = Sifting(check, mask, modern=greeting.is_modern)
    kept = {
        shelf: await anyio.to_thread.run_sync(sifting.sift, shelf, read)
        for shelf, read in pages.items()
    }
    return Listing(
        tools=kept.get(TOOLS, ()),
        prompts=kept.get(PROMPTS, ()),
        resources=kept.get(RESOURCES, ()),
        templates=kept.get(TEMPLATES, ()),
        malformed=tuple(sifting.malformed),
        protocol_version=greeting.protocol_version,
        reported_name=mask.mask_all(greeting.name),
        reported_version=mask.mask_all(greeting.version),
        instructions=mask.mask_all(greeting.instructions),
        capabilities=mask.mask_all(greeting.capabilities),
        ttl_ms=shortest_ttl_ms(pages),
        cache_scope=narrowest_scope(pages),
        digest=digest,
    )


def unchanged_listing(pages: Pages, greeting: Greeting, digest: str) -> Listing:
    """Say that everything is as it was; how long it stays so is news all the same."""
    return Listing(
        protocol_version=greeting.protocol_version,
        ttl_ms=shortest_ttl_ms(pages),
        cache_scope=narrowest_scope(pages),
        digest=digest,
        unchanged=True,
    )


async def _digest(pages: Pages, greeting: Greeting, redact: Redactor) -> str | None:
    if count_objects(pages) <= _FEW:
        return digest_pages(pages, greeting, redact=redact)
    return await anyio.to_thread.run_sync(lambda: digest_pages(pages, greeting, redact=redact))
