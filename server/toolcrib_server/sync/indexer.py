"""The one writer of the search index: it follows the change log and nothing else.

Whoever changes the registry (a sync, the API, an import, another process) only commits to the
store; the indexer reads the log from the index's revision to its head, embeds the texts that no
vector is stored for, and moves the index to that revision.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_registry.errors import EncoderError, ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Revision, ServerName

from .bulk import uncollected
from .checkpoints import Checkpoint, checkpoint_from_environment
from .embedder import Embedder, Encoded, Progress, in_lists
from .grouping import Grouped

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Document, Encoder, FloatVector, SearchIndex
    from toolcrib_embeddings.documents.representation import Part

logger = logging.getLogger(__name__)

_LOG_BATCH = 5_000
_LONGEST_UNSAVED_S = 15.0
"""While the log never rests; otherwise what moved is saved when it does."""
_ENCODER_RETRY_S = 30.0
"""Between attempts to open an encoder that could not be had: each may read a large file."""


_TOKENS_AT_ONCE = 32
_TOKENS_TAKE_S = 0.5
"""Of each turn of a second in which token vectors are made for what was indexed without."""


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
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.embedder = Embedder(store, open_encoder=open_encoder, weights=weights)
        self._store = store
        self._folder = folder
        self._on_change = on_change
        self._checkpoint = checkpoint or checkpoint_from_environment()
        self._catch_up_together = Grouped(self._pass)
        self._saving = threading.Lock()
        self._index: SearchIndex | None = None
        self._saved: Revision | None = None
        self._saved_s = time.monotonic()
        self._error: str | None = None
        self._encoder_error: str | None = None
        self._encoder_tried_s = 0.0
        self._tokens_after_s = 0.0
        self._gaps: frozenset[EntryId] = frozenset()

    @property
    def encoder_error(self) -> str | None:
        """Why the last texts could not be encoded, or None. Search then goes by words."""
        return self._encoder_error

    @property
    def opened(self) -> SearchIndex | None:
        """The index, if it has been opened."""
        return self._index

    @property
    def revision(self) -> Revision | None:
        """How far the index is, or None while it has not been opened."""
        return None if self._index is None else self._index.revision

    @property
    def error(self) -> str | None:
        """Why the last pass failed, or None."""
        return self._error

    async def index(self) -> SearchIndex:
        """Return the index, opened and brought to the head the first time.

        Without an encoder it knows words alone, and says so.

        Raises:
            StoreError: The registry cannot be read.
        """
        if self._index is None:
            await self.catch_up()
        assert self._index is not None
        return self._index

    async def catch_up(self, *, on_progress: Progress | None = None) -> IndexReport:
        """Bring the index to the head of the change log. One pass runs at a time.

        Whoever asks while one runs shares the next with all the others that do.

        Raises:
            StoreError: The registry cannot be read.
        """
        return await self._catch_up_together(on_progress)

    async def reindex(self, ids: Collection[EntryId]) -> IndexReport:
        """Read these entries anew into the index, or out of it, with what else there is to do.

        Where there is no encoder, opening it is tried first, whenever it was tried last.
        """
        self._gaps |= frozenset(ids)
        self._encoder_tried_s = 0.0
        return await self.catch_up()

    async def _pass(self, listeners: Sequence[Progress | None]) -> IndexReport:
        before = self.revision
        heard = [each for each in listeners if each is not None]
        try:
            report = await anyio.to_thread.run_sync(self._catch_up, heard)
        except Exception as error:
            self._error = str(error)
            raise
        self._error = None
        self._checkpoint("indexed")
        # Before anybody is answered: whoever waits for this pass finds the faces up to date too.
        if self._on_change and report.revision != before:
            await self._on_change()
        return report

    async def follow(self, *, interval_s: float = 1.0) -> None:
        """Keep following the log, for changes that other processes commit. Never returns."""
        seen: Revision | None = None
        while True:
            await anyio.sleep(interval_s)
            if self._index is None:
                continue
            try:
                if await anyio.to_thread.run_sync(self._store.head) != self._index.revision:
                    await self.catch_up()
                # Each costs a second or so for a large registry: not at every step of a long sync.
                rests = self._index.revision == seen
                if rests or time.monotonic() - self._saved_s > _LONGEST_UNSAVED_S:
                    await self.save()
                seen = self._index.revision
                if rests and self._index.untokened and time.monotonic() > self._tokens_after_s:
                    await self.add_tokens()
            except (ToolcribError, OSError) as error:
                # A full disk, say: the next turn tries again, and searches go on meanwhile.
                logger.warning("The index could not follow the change log: %s", error)

    async def add_tokens(self) -> int:
        """Give some entries that have none their token vectors; return how many still have none.

        Takes up to half a second: `follow` does it again and again, as long as the log rests.

        Raises:
            EncoderError: The encoder failed.
        """
        index = await self.index()
        self._tokens_after_s = time.monotonic() + _ENCODER_RETRY_S
        left = await anyio.to_thread.run_sync(self._add_tokens, index)
        self._tokens_after_s = 0.0
        return left

    async def save(self, *, anew: bool = False) -> None:
        """Calibrate the index if it wants that, and write a snapshot if it moved since the last.

        With ``anew`` also if it did not. Searches and further passes go on meanwhile.
        """
        if anew:
            self._saved = None
        await anyio.to_thread.run_sync(self._save)

    # --- in a worker thread ----------------------------------------------------------------

    def _catch_up(self, listeners: Sequence[Progress]) -> IndexReport:
        on_progress = _telling(listeners)
        if self._index is not None and not self._may_have_encoder(self._index):
            gaps = self._gaps
            touched = self._touched_since(self._index.revision)
            touched = replace(touched, ids=(*touched.ids, *gaps))
            report = self._apply(self._index, touched, on_progress)
            if gaps:
                self._gaps -= gaps
                # Its revision says that it is saved; what was mended is not.
                self._saved = None
            return report
        index, rebuilt = self._open()
        if rebuilt is None:
            report = self._apply(index, self._touched_since(index.revision), on_progress)
        else:
            report = self._fill(index, on_progress, rebuilt)
        self._calibrate(index)
        # Only now: an index that could not be filled must not answer as if nothing were there.
        self._index = index
        return report

    def _fill(self, index: SearchIndex, on_progress: Progress | None, rebuilt: str) -> IndexReport:
        # Taken before reading the entries: what commits meanwhile is then seen again, not missed.
        head = self._store.head()
        documents = list(self.embedder.render(self._store.iter_entries(live=True)))
        report = self._update(index, documents, frozenset(), head, on_progress, rebuilt=rebuilt)
        if documents and self._folder.exists():
            message = "The search index of %d entries was rebuilt (%s), %d texts embedded"
            logger.warning(message, report.indexed, rebuilt, report.embedded)
        return report

    def _open(self) -> tuple[SearchIndex, str | None]:
        from toolcrib_embeddings import (  # noqa: PLC0415  # slow
            NoEncoder,
            SearchIndex,
            SnapshotInvalid,
        )

        representation = self.embedder.representation()
        encoder = self._open_encoder()
        if isinstance(encoder, NoEncoder):
            return SearchIndex(encoder, representation=representation), "there is no encoder"
        try:
            index = SearchIndex.load(self._folder, encoder, representation=representation)
        except SnapshotInvalid as invalid:
            return SearchIndex(encoder, representation=representation), invalid.reason
        if index.revision > self._store.head():
            reason = "its revision is ahead of the registry"
            return SearchIndex(encoder, representation=representation), reason
        self._saved = index.revision
        return index, None

    def _open_encoder(self) -> Encoder:
        """Open the encoder, or have what stands in its place; it is tried again later."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

        self._encoder_tried_s = time.monotonic()
        try:
            encoder = self.embedder.open()
        except (EncoderError, OSError) as error:
            self._encoder_error = str(error)
            logger.error("Search goes by words alone: %s", error)
            return NoEncoder(str(error))
        self._encoder_error = None
        return encoder

    def _may_have_encoder(self, index: SearchIndex) -> bool:
        """Whether an index without an encoder is to be opened again, with one perhaps."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

        waited_s = time.monotonic() - self._encoder_tried_s
        if not isinstance(index.encoder, NoEncoder) or waited_s < _ENCODER_RETRY_S:
            return False
        return not isinstance(self._open_encoder(), NoEncoder)

    def _touched_since(self, revision: Revision) -> _Touched:
        ids: dict[EntryId, None] = {}
        servers: dict[ServerName, None] = {}
        while changes := self._store.list_subjects(since=revision, limit=_LOG_BATCH):
            for _, subject in changes:
                if subject.startswith("server:"):
                    servers[ServerName(subject.removeprefix("server:"))] = None
                else:
                    ids[EntryId(subject)] = None
            revision = changes[-1][0]
        return _Touched(tuple(ids), tuple(servers), revision)

    def _apply(
        self, index: SearchIndex, touched: _Touched, on_progress: Progress | None
    ) -> IndexReport:
        ids = dict.fromkeys(touched.ids)
        if touched.servers:
            # Turned on or off: all it owns. (Of a removed server, each entry has its own change.)
            for owned in self._store.hashes_by_server(touched.servers).values():
                ids.update(dict.fromkeys(owned))
        documents, live = self._read(tuple(ids))
        removals = frozenset(key for key in ids if key not in live and key in index)
        return self._update(index, documents, removals, touched.revision, on_progress, rebuilt=None)

    @uncollected()
    def _read(self, ids: Sequence[EntryId]) -> tuple[list[Document], Collection[EntryId]]:
        """Read the documents of entries, and which of these are live."""
        live = self._store.get_entries(ids, live=True) if ids else {}
        return list(self.embedder.render(live.values())), frozenset(live)

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
        parts = {document.id: index.representation.parts(document) for document in documents}
        texts = {part.text_hash: part.text for listed in parts.values() for part in listed}
        hashes = {document.id: document.text_hash for document in documents}
        encoded = self._encode(index, texts, frozenset(hashes.values()), on_progress)
        self.embedder.keep(encoded)
        vectors = (_vector(index, parts[each.id], encoded.vectors) for each in documents)
        upserts = list(zip(documents, vectors, strict=True))
        tokens = {id_: encoded.tokens[h] for id_, h in hashes.items() if h in encoded.tokens}
        index.update(upserts, removals, revision=revision, tokens=tokens)
        return IndexReport(
            revision=revision,
            indexed=len(documents),
            embedded=encoded.embedded,
            removed=len(removals),
            rebuilt=rebuilt,
        )

    def _encode(
        self,
        index: SearchIndex,
        texts: Mapping[str, str],
        tokens_of: Collection[str],
        on_progress: Progress | None,
    ) -> Encoded:
        """Give texts their vectors; without a working encoder, those that are stored."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

        if isinstance(index.encoder, NoEncoder) or not texts:
            return Encoded({}, {})
        try:
            encoded = self.embedder.encode(texts, tokens_of=tokens_of, on_progress=on_progress)
        except EncoderError as error:
            self._encoder_error = error.detail
            logger.error("Entries can be found by their words alone: %s", error)
            return self.embedder.stored(texts, tokens_of=tokens_of)
        self._encoder_error = None
        return encoded

    def _add_tokens(self, index: SearchIndex) -> int:
        """Read entries that were indexed before there were token vectors, a few at a time.

        What is stored already comes at once; what must be encoded leaves half the time to others.
        """
        waiting = index.untokened
        until_s = time.monotonic() + _TOKENS_TAKE_S
        # Another place in every process that does this, so that they share the work.
        start = os.getpid() * _TOKENS_AT_ONCE % max(len(waiting), 1)
        for ids in in_lists((*waiting[start:], *waiting[:start]), _TOKENS_AT_ONCE):
            documents = list(self._documents(ids))
            tokens = self.embedder.read_tokens({each.text_hash: each.text for each in documents})
            index.add_tokens([(d, tokens[d.text_hash]) for d in documents if d.text_hash in tokens])
            if time.monotonic() > until_s:
                break
        left = len(index.untokened)
        if waiting and not left:
            self._saved = None  # its revision says that it is saved; these are not
        return left

    def _calibrate(self, index: SearchIndex) -> None:
        if index.wants_calibration:
            index.calibrate(self._documents)

    def _documents(self, ids: Sequence[EntryId]) -> Iterator[Document]:
        return self.embedder.render(self._store.get_entries(ids, live=True).values())

    def _save(self) -> None:
        with self._saving:
            index = self._index
            if index is None or index.revision == self._saved or _is_wordy(index):
                return
            self._calibrate(index)
            revision = index.revision
            index.save(self._folder)
            self._saved, self._saved_s = revision, time.monotonic()
        self._checkpoint("snapshot-saved")


def _vector(
    index: SearchIndex, parts: Sequence[Part], vectors: Mapping[str, FloatVector]
) -> FloatVector:
    """Make one vector of an entry's parts; nothing but zeros says that one of them is missing."""
    import numpy as np  # noqa: PLC0415  # slow

    if all(part.text_hash in vectors for part in parts):
        return index.representation.combine(parts, vectors)
    return np.zeros(index.encoder.dimension, dtype=np.float32)


def _is_wordy(index: SearchIndex) -> bool:
    """Whether it knows words alone: no snapshot is worth writing over one that knows more."""
    from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

    return isinstance(index.encoder, NoEncoder)


def _telling(listeners: Sequence[Progress]) -> Progress | None:
    """Make one listener of many."""
    if not listeners:
        return None

    def tell(done: int, total: int) -> None:
        for listener in listeners:
            listener(done, total)

    return tell
