"""Asks one server what it lists, and does not believe at once that everything is gone.

A list that comes empty where several entries are stored is asked for a second time: servers that
are only starting say such things. What they say twice is believed. Writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import anyio
import anyio.to_thread

from toolcrib_registry.errors import NotCallable, UpstreamError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, Lease, Server, ServerName, ServerStatus, split_id
from toolcrib_server.upstream.lists.listing import Listing

from .answer import Answer
from .checkpoints import Checkpoint

CONFIRM_AFTER_S = 1.0
"""Between the listing that is empty and the one that confirms it."""
SEVERAL = 3
"""Entries of one kind; a server that takes back fewer is believed at once."""


class Lister(Protocol):
    """Lists everything a server has to offer."""

    async def list_all(self, server: Server, *, known_digest: str | None = None) -> Listing:
        """List all of it, or raise an `UpstreamError`.

        A listing of that digest may be given as ``unchanged``, with nothing in it.
        """
        ...

    async def aclose_server(self, name: ServerName) -> None:
        """Drop the link, and with it any pause before the next attempt."""
        ...


class Asker:
    """Asks servers, a limited number of them at once."""

    def __init__(
        self,
        lister: Lister,
        store: Store,
        *,
        concurrency: int,
        confirm_after_s: float,
        checkpoint: Checkpoint,
    ) -> None:
        self._lister = lister
        self._store = store
        self._confirm_after_s = confirm_after_s
        self._checkpoint = checkpoint
        self._room = anyio.Semaphore(concurrency, fast_acquire=True)

    async def ask(self, server: Server, lease: Lease, *, insist: bool) -> Answer:
        """Ask one server. Never raises what the server is to blame for: the answer says it.

        ``insist`` is for a person who asked: no pause of earlier failures is waited for, and a
        listing is read in full even if it is the same as the last.
        """
        if insist and server.health.status is ServerStatus.UNREACHABLE:
            # Somebody asked, having mended it perhaps: do not make them wait for a retry.
            await self._lister.aclose_server(server.name)
        known_digest = None if insist else server.health.listing_digest
        async with self._room:
            started_s = time.monotonic()
            listing, why, wait_s = None, None, None
            try:
                listing = await self._list(server, known_digest)
            except UpstreamError as error:
                why, wait_s = error.detail, getattr(error, "retry_after_s", None)
            except NotCallable as error:
                why = error.detail
            duration_s = time.monotonic() - started_s
        self._checkpoint("listed")
        return Answer(
            server=server,
            lease=lease,
            listing=listing,
            error=why,
            retry_after_s=wait_s,
            duration_s=duration_s,
        )

    async def _list(self, server: Server, known_digest: str | None) -> Listing:
        listing = await self._lister.list_all(server, known_digest=known_digest)
        if listing.unchanged or server.health.synced_at is None:
            return listing
        emptied = frozenset(_empty_kinds(listing))
        if not await anyio.to_thread.run_sync(self._would_lose_several, server.name, emptied):
            return listing
        await anyio.sleep(self._confirm_after_s)
        return await self._lister.list_all(server)

    def _would_lose_several(self, name: ServerName, kinds: frozenset[EntryKind]) -> bool:
        stored = [split_id(id_)[0] for id_ in self._store.entry_hashes(name)]
        return any(stored.count(kind) >= SEVERAL for kind in kinds)


def _empty_kinds(listing: Listing) -> Iterator[EntryKind]:
    listed = {
        EntryKind.TOOL: listing.tools,
        EntryKind.PROMPT: listing.prompts,
        EntryKind.RESOURCE: (*listing.resources, *listing.templates),
    }
    for kind, objects in listed.items():
        if not objects and kind not in listing.failed_kinds:
            yield kind
