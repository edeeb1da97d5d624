"""Whether the index holds what the registry has: compared all the time, and repaired at once.

An entry that search should find and cannot is a gap, whatever made it: a crash, a full disk, an
encoder that failed, a snapshot from a backup. Knows no face; what it found, it tells.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, OwnedEntry, Revision, Trust, hash_query

from .indexer import Indexer

if TYPE_CHECKING:
    from toolcrib_embeddings import SearchIndex  # slow to import

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 5.0
_WHOLE_S: Final = 60.0
"""Between comparisons entry by entry while nothing moves; one of 20,000 entries takes 50 ms."""
_LONGEST_PAUSE_S: Final = 300.0
"""Between attempts at a gap that does not close."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexHealth:
    """How the index stands against the registry, at one moment."""

    checked_at: datetime
    head: Revision
    revision: Revision | None
    """How far the index is; None before it has been opened."""
    live: int
    """Entries that search should find."""
    indexed: int
    """Entries that it holds."""
    missing: tuple[EntryId, ...] = ()
    """Live, and not in it."""
    outdated: tuple[EntryId, ...] = ()
    """In it as they were before their last change."""
    surplus: tuple[EntryId, ...] = ()
    """In it, and not live."""
    unembedded: tuple[EntryId, ...] = ()
    """In it without a vector: found by their words alone."""
    lexical_only: str | None = None
    """Why texts cannot be encoded now; None when they can."""

    @property
    def gaps(self) -> frozenset[EntryId]:
        """Every entry that is not in the index as it should be."""
        return frozenset((*self.missing, *self.outdated, *self.surplus, *self.unembedded))

    @property
    def is_whole(self) -> bool:
        """Whether the index is what the registry says."""
        return not self.gaps

    def say(self) -> str:
        """Say in a sentence what is not as it should be; '' when all is."""
        said = [
            f"{len(ids)} {what} ({_few(ids)})"
            for ids, what in (
                (self.missing, "missing from the index"),
                (self.outdated, "indexed as they were before"),
                (self.surplus, "indexed though they are gone"),
                (self.unembedded, "without a vector, found by their words alone"),
            )
            if ids
        ]
        if self.lexical_only:
            said.append(f"search goes by words alone: {self.lexical_only}")
        return "; ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What the store's cache of vectors has of one encoder, against what is needed."""

    wanted: int
    """Different texts of all entries."""
    kept: int
    """Those of them that have a sound vector."""
    orphans: int
    """Vectors of other encoders, and of texts that are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restocked:
    """What bringing the cache in order took."""

    encoded: int
    pruned: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was compared last, to see cheaply that it is still the same."""

    state: object
    head: Revision
    at_s: float


class IndexGuard:
    """Compares the index with the registry and closes gaps. One for each index."""

    def __init__(self, store: Store, indexer: Indexer) -> None:
        self._store = store
        self._indexer = indexer
        self._health: IndexHealth | None = None
        self._seen: _Seen | None = None
        self._pause_s = 0.0
        self._tried_s = 0.0
        self.repaired = 0
        """Entries that were not as they should be, and are now."""

    @property
    def health(self) -> IndexHealth | None:
        """What the last comparison showed; None before the first."""
        return self._health

    @property
    def gaps(self) -> int:
        """How many entries were not as they should be at the last comparison."""
        return len(self._health.gaps) if self._health else 0

    async def check(self, *, whole: bool = True) -> IndexHealth:
        """Compare entry by entry; unless ``whole``, only where anything may have moved.

        Raises:
            StoreError: The registry cannot be read.
        """
        index = await self._indexer.index()
        kept = self._still_true(index, await anyio.to_thread.run_sync(self._store.head))
        if kept is not None and not whole:
            self._health = kept
            return kept
        self._health = await anyio.to_thread.run_sync(self._compare, index)
        return self._health

    async def mend(self) -> IndexHealth:
        """Compare, and have what is not as it should be indexed again. Says what is left.

        Raises:
            StoreError: The registry cannot be read.
        """
        before = await self.check()
        if before.is_whole and before.lexical_only is None:
            return before
        await self._indexer.reindex(_curable(before, await self._indexer.index()))
        after = await self.check()
        self.repaired += len(before.gaps - after.gaps)
        return after

    async def run(self, *, interval_s: float = INTERVAL_S) -> None:
        """Compare at each interval, and mend at once. Never returns."""
        while True:
            await anyio.sleep(interval_s)
            if self._indexer.opened is None:
                continue
            try:
                await self._look()
            except (ToolcribError, OSError) as error:
                logger.warning("The index could not be compared with the registry: %s", error)

    async def _look(self) -> None:
        health = await self.check(whole=False)
        if health.is_whole:
            self._pause_s = 0.0
            return
        if time.monotonic() - self._tried_s < self._pause_s:
            return
        logger.warning("The index is being mended: %s", health.say())
        after = await self.mend()
        self._tried_s = time.monotonic()
        self._pause_s = 0.0 if after.is_whole else min(_LONGEST_PAUSE_S, 2 * self._pause_s + 5)

    def _still_true(self, index: SearchIndex, head: Revision) -> IndexHealth | None:
        seen, health = self._seen, self._health
        if health is None or seen is None or time.monotonic() - seen.at_s > _WHOLE_S:
            return None
        if seen.state is not index.state or seen.head != head:
            return None
        return replace(health, lexical_only=self._indexer.encoder_error)

    # --- in a worker thread ----------------------------------------------------------------

    def _compare(self, index: SearchIndex) -> IndexHealth:
        state, head, unembedded = index.state, self._store.head(), index.unembedded
        live, held = self._store.live_revisions(), index.revisions()
        # An index on its way is late, and has no gaps: it is compared where it stands still.
        stands = index.state is state and self._store.head() == head == index.revision
        self._seen = _Seen(state, head, time.monotonic()) if stands else None
        health = IndexHealth(
            checked_at=datetime.now(UTC),
            head=head,
            revision=index.revision,
            live=len(live),
            indexed=len(held),
            unembedded=tuple(sorted(unembedded)),
            lexical_only=self._indexer.encoder_error,
        )
        if live == held or not stands:
            return health
        return replace(health, **_differences(live, held))

    def take_stock(self, index: SearchIndex) -> Stock:
        """Count the vectors in the store's cache that are needed, and those that are not. Slow."""
        texts = self._texts(index)
        stored = self._indexer.embedder.stored(texts).vectors
        wanted = self._texts(index, unless_held=True).keys()
        queries = self._queries()
        known = self._store.get_embeddings(index.encoder.id, tuple(queries))
        tokens = self._indexer.embedder.stored({}, tokens_of=texts.keys()).tokens
        return Stock(
            wanted=len(wanted),
            kept=len(wanted & stored.keys()),
            orphans=max(
                0, self._store.counts().embeddings - len(stored) - len(known) - len(tokens)
            ),
        )

    def restock(self, index: SearchIndex) -> Restocked:
        """Encode what has no vector in the cache, drop what no text needs. Slow.

        Raises:
            EncoderError: the encoder failed.
        """
        texts = self._texts(index)
        encoded = self._indexer.embedder.encode(texts)
        self._indexer.embedder.keep(encoded)
        keep = texts.keys() | self._queries()
        token_id = index.encoder.token_id
        pruned = self._store.prune_embeddings(index.encoder.id, keep, token_id=token_id)
        return Restocked(encoded=encoded.embedded, pruned=pruned)

    def _texts(self, index: SearchIndex, *, unless_held: bool = False) -> dict[str, str]:
        # Also of what is switched off: it may be switched on again. What is quarantined is encoded
        # when it is approved, and not before.
        entries = self._store.iter_entries()
        wanted = (entry for entry in entries if not (unless_held and _is_held(entry)))
        return {
            part.text_hash: part.text
            for document in self._indexer.embedder.render(wanted)
            for part in index.representation.parts(document)
        }

    def _queries(self) -> set[str]:
        routing = self._store.routing
        routed = (one.query for name in routing.count() for one in routing.list_outcomes(name))
        examples = (text for domain in routing.list_domains() for text in domain.examples)
        asked = (outcome.query for outcome in self._store.iter_outcomes())
        return set(map(hash_query, (*asked, *routed, *examples)))


def _is_held(entry: Entry) -> bool:
    return isinstance(entry, OwnedEntry) and entry.trust is Trust.QUARANTINED


def _curable(health: IndexHealth, index: SearchIndex) -> frozenset[EntryId]:
    """Give what indexing again may mend: without an encoder, no entry can have a vector."""
    from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

    lost = frozenset((*health.missing, *health.outdated, *health.surplus))
    return lost if isinstance(index.encoder, NoEncoder) else health.gaps


def _differences(
    live: Mapping[EntryId, Revision], held: Mapping[EntryId, Revision]
) -> dict[str, tuple[EntryId, ...]]:
    return {
        "missing": tuple(sorted(live.keys() - held.keys())),
        "surplus": tuple(sorted(held.keys() - live.keys())),
        "outdated": tuple(sorted(id_ for id_ in live if id_ in held and live[id_] != held[id_])),
    }


def _few(ids: tuple[EntryId, ...]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
