"""The one writer of the search index: it follows the change log and nothing else.

Whoever changes the registry (a sync, the API, an import, another process) only commits to the
store; the indexer reads the log from the index's revision to its head, embeds the texts that no
vector is stored for, and moves the index to that revision.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Change, Entry, EntryId, Revision, ServerName

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Document, Encoder, FloatVector, SearchIndex

logger = logging.getLogger(__name__)

_LOG_BATCH = 5_000
_EMBED_BATCH = 512
"""Documents between two commits of their vectors: what a kill can cost."""

Progress = Callable[[int, int], None]
"""Called with (documents embedded so far, documents to embed)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What one pass of the indexer did. ``rebuilt`` says why, when it started from nothing."""

    revision: Revision
    indexed: int = 0
    embedded: int = 0
    removed: int = 0
    rebuilt: str | None = None


@dataclass(frozen=True, slots=True)
class _Touched:
    """What a stretch of the log leaves to look at."""

    ids: tuple[EntryId, ...]
    servers: tuple[ServerName, ...]
    revision: Revision


class Indexer:
    """Opens the encoder and the index once, late, and keeps the index at the log's head.

    Opening is slow (a model is loaded; the first time, exported), so it happens when the index is
    first asked for, in a thread, and every later caller waits for the same opening.
    """

    def __init__(
        self,
        store: Store,
        *,
        open_encoder: Callable[[], Encoder],
        folder: Path,
        weights: Mapping[str, float] | None = None,
        on_change: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._open_encoder = open_encoder
        self._folder = folder
        self._weights = weights
        self._on_change = on_change
        self._lock = anyio.Lock()
        self._index: SearchIndex | None = None
        self._saved: Revision | None = None
        self._rebuilt: str | None = None
        self._error: str | None = None

    @property
    def revision(self) -> Revision | None:
        """How far the index is, or None while it has not been opened."""
        return self._index.revision if self._index else None

    @property
    def error(self) -> str | None:
        """Why the last pass failed, or None."""
        return self._error

    async def index(self) -> SearchIndex:
        """Return the index, opened and brought to the head the first time.

        Raises:
            EncoderError: The embedding model cannot be loaded.
            StoreError: The registry cannot be read.
        """
        if self._index is None:
            await self.catch_up()
        assert self._index is not None
        return self._index

    async def catch_up(self, *, on_progress: Progress | None = None) -> IndexReport:
        """Bring the index to the head of the change log. One pass runs at a time."""
        async with self._lock:
            before = self.revision
            try:
                report = await anyio.to_thread.run_sync(self._catch_up, on_progress)
            except Exception as error:
                self._error = str(error)
                raise
            self._error = None
            # Inside the lock: whoever waits for this pass finds the faces up to date as well.
            if self._on_change and report.revision != before:
                await self._on_change()
        return report

    async def follow(self, *, interval_s: float = 1.0) -> None:
        """Keep following the log, for changes that other processes commit. Never returns."""
        while True:
            await anyio.sleep(interval_s)
            if self._index is None:
                continue
            try:
                if await anyio.to_thread.run_sync(self._store.head) != self._index.revision:
                    await self.catch_up()
                await self.save()
            except (ToolcribError, OSError) as error:
                # A full disk, say: the next turn tries again, and searches go on meanwhile.
                logger.warning("The index could not follow the change log: %s", error)

    async def save(self) -> None:
        """Write a snapshot, if the index moved since the last one."""
        async with self._lock:
            await anyio.to_thread.run_sync(self._save)

    # --- in a worker thread, under the lock ------------------------------------------------

    def _catch_up(self, on_progress: Progress | None) -> IndexReport:
        index, rebuilt = (self._index, None) if self._index is not None else self._open()
        if rebuilt is None:
            report = self._apply(index, self._touched_since(index.revision), on_progress)
        else:
            report = self._fill(index, on_progress, rebuilt)
        # Only now: an index that could not be filled must not answer as if nothing were there.
        self._index = index
        return report

    def _fill(self, index: SearchIndex, on_progress: Progress | None, rebuilt: str) -> IndexReport:
        # Taken before reading the entries: what commits meanwhile is then seen again, not missed.
        head = self._store.head()
        documents = list(_documents(self._store.iter_entries(live=True)))
        report = self._update(index, documents, frozenset(), head, on_progress, rebuilt=rebuilt)
        if documents and self._folder.exists():
            message = "The search index of %d entries was rebuilt (%s), %d texts embedded"
            logger.warning(message, report.indexed, rebuilt, report.embedded)
        return report

    def _open(self) -> tuple[SearchIndex, str | None]:
        from toolcrib_embeddings import SearchIndex, SnapshotInvalid  # noqa: PLC0415  # slow
        from toolcrib_embeddings.representation import choose  # noqa: PLC0415  # slow

        encoder, representation = self._open_encoder(), choose(self._weights)
        try:
            index = SearchIndex.load(self._folder, encoder, representation=representation)
        except SnapshotInvalid as invalid:
            return SearchIndex(encoder, representation=representation), invalid.reason
        if index.revision > self._store.head():
            reason = "its revision is ahead of the registry"
            return SearchIndex(encoder, representation=representation), reason
        self._saved = index.revision
        return index, None

    def _touched_since(self, revision: Revision) -> _Touched:
        ids: dict[EntryId, None] = {}
        servers: dict[ServerName, None] = {}
        for change in self._changes_since(revision):
            revision = change.revision
            if change.subject.startswith("server:"):
                servers[ServerName(change.subject.removeprefix("server:"))] = None
            else:
                ids[EntryId(change.subject)] = None
        return _Touched(tuple(ids), tuple(servers), revision)

    def _changes_since(self, revision: Revision) -> Iterator[Change]:
        while changes := self._store.list_changes(since=revision, limit=_LOG_BATCH):
            yield from changes
            revision = changes[-1].revision

    def _apply(
        self, index: SearchIndex, touched: _Touched, on_progress: Progress | None
    ) -> IndexReport:
        ids = dict.fromkeys(touched.ids)
        for server in touched.servers:
            # Turned on or off: all it owns. (Of a removed server, each entry has its own change.)
            ids.update(dict.fromkeys(self._store.entry_hashes(server)))
        live = self._store.get_entries(tuple(ids), live=True) if ids else {}
        documents = list(_documents(live.values()))
        removals = frozenset(key for key in ids if key not in live and key in index)
        return self._update(index, documents, removals, touched.revision, on_progress, rebuilt=None)

    def _update(
        self,
        index: SearchIndex,
        documents: Sequence[Document],
        removals: frozenset[EntryId],
        revision: Revision,
        on_progress: Progress | None,
        *,
        rebuilt: str | None,
    ) -> IndexReport:
        combine = index.representation.combine
        parts = {document.id: index.representation.parts(document) for document in documents}
        texts = {part.text_hash: part.text for listed in parts.values() for part in listed}
        vectors, embedded = self._vectors(index.encoder, texts, on_progress)
        upserts = [(document, combine(parts[document.id], vectors)) for document in documents]
        index.update(upserts, removals, revision=revision)
        if index.wants_calibration:
            index.calibrate(self._read_documents)
        return IndexReport(
            revision=revision,
            indexed=len(documents),
            embedded=embedded,
            removed=len(removals),
            rebuilt=rebuilt,
        )

    def _read_documents(self, ids: Sequence[EntryId]) -> Iterator[Document]:
        return _documents(self._store.get_entries(ids, live=True).values())

    def _vectors(
        self, encoder: Encoder, texts: Mapping[str, str], on_progress: Progress | None
    ) -> tuple[dict[str, FloatVector], int]:
        """Give every text its vector: from the store where it is known, else encoded and stored.

        Texts are given by their hashes.
        """
        import numpy as np  # noqa: PLC0415  # slow

        stored = self._store.get_embeddings(encoder.id, tuple(texts))
        rows = {
            key: np.frombuffer(raw, dtype="<f4")
            for key, raw in stored.items()
            if len(raw) == 4 * encoder.dimension
        }
        # What is no direction (damaged, or written by another) is encoded again.
        vectors = {key: row for key, row in rows.items() if 0 < float(row @ row) < np.inf}
        missing = [key for key in texts if key not in vectors]
        # Alike lengths together: a batch costs as much as its longest text.
        missing.sort(key=lambda key: len(texts[key]))
        for done, batch in _batched(missing, _EMBED_BATCH):
            report = partial(_report, on_progress, done, len(missing))
            matrix = encoder.encode([texts[key] for key in batch], on_progress=report)
            fresh = dict(zip(batch, matrix, strict=True))
            self._store.put_embeddings(
                encoder.id,
                {key: row.astype("<f4", copy=False).tobytes() for key, row in fresh.items()},
            )
            vectors.update(fresh)
        return vectors, len(missing)

    def _save(self) -> None:
        if self._index is not None and self._index.revision != self._saved:
            self._index.save(self._folder)
            self._saved = self._index.revision


def _documents(entries: Iterable[Entry]) -> Iterator[Document]:
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow

    return map(render_document, entries)


def _batched(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def _report(on_progress: Progress | None, before: int, total: int, done: int) -> None:
    # In a worker thread, this is where somebody who gave up can stop it. What was embedded stays.
    anyio.from_thread.check_cancelled()
    if on_progress:
        on_progress(before + done, total)
