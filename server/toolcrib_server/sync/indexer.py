"""The one writer of the search index: it follows the change log and nothing else.

Whoever changes the registry (a sync, the API, an import, another process) only commits to the
store; the indexer has what the log says written into the index, and keeps that on disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Revision

from .checkpoints import Checkpoint, checkpoint_from_environment
from .embedder import Embedder, Progress
from .grouping import Grouped
from .index_writer import ENCODER_RETRY_S, IndexReport, IndexWriter

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Encoder, SearchIndex

logger = logging.getLogger(__name__)

_LONGEST_UNSAVED_S = 15.0
"""While the log never rests; otherwise what moved is saved when it does."""


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
        self._writer = IndexWriter(store, self.embedder)
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
        self._tokens_after_s = 0.0
        self._gaps: frozenset[EntryId] = frozenset()
        self._is_untold = False
        """Whether the faces do not know yet of what the index does: telling them failed."""

    @property
    def encoder_error(self) -> str | None:
        """Why the last texts could not be encoded, or None. Search then goes by words."""
        return self._writer.encoder_error

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
        self._writer.retry_encoder()
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
        self._is_untold |= report.revision != before
        if self._on_change and self._is_untold:
            await self._on_change()
        self._is_untold = False
        return report

    async def follow(self, *, interval_s: float = 1.0) -> None:
        """Keep following the log, for changes that other processes commit. Never returns."""
        seen: Revision | None = None
        while True:
            await anyio.sleep(interval_s)
            if self._index is None:
                continue
            try:
                head = await anyio.to_thread.run_sync(self._store.head)
                if head != self._index.revision or self._is_untold:
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
        self._tokens_after_s = time.monotonic() + ENCODER_RETRY_S
        waited = bool(index.untokened)
        left = await anyio.to_thread.run_sync(self._writer.add_tokens, index)
        self._tokens_after_s = 0.0
        if waited and not left:
            self._saved = None  # its revision says that it is saved; these are not
        return left

    async def save(self, *, anew: bool = False) -> None:
        """Calibrate the index if it wants that, and write a snapshot if it moved since the last.

        With ``anew`` also if it did not. Searches and further passes go on meanwhile.
        """
        if anew:
            self._saved = None
        await anyio.to_thread.run_sync(self._save)

    async def save_in_time(self, within_s: float) -> None:
        """Write a snapshot if it moved, as it is; who waits is let go after so long all the same.

        For the end of a process: the thread that still writes then ends with it.
        """
        save = partial(self._save, calibrate=False)
        with anyio.move_on_after(within_s):
            await anyio.to_thread.run_sync(save, abandon_on_cancel=True)

    # --- in a worker thread ----------------------------------------------------------------

    def _catch_up(self, listeners: Sequence[Progress]) -> IndexReport:
        on_progress = _telling(listeners)
        if self._index is not None and not self._writer.may_have_encoder(self._index):
            gaps = self._gaps
            report = self._writer.follow(self._index, on_progress, besides=gaps)
            if gaps:
                self._gaps -= gaps
                # Its revision says that it is saved; what was mended is not.
                self._saved = None
            return report
        index, rebuilt = self._open()
        if rebuilt is None:
            report = self._writer.follow(index, on_progress)
        else:
            report = self._writer.fill(index, on_progress, rebuilt=rebuilt)
            if report.indexed and self._folder.exists():
                message = "The search index of %d entries was rebuilt (%s), %d texts embedded"
                logger.warning(message, report.indexed, rebuilt, report.embedded)
        self._calibrate(index)
        # Only now: an index that could not be filled must not answer as if nothing were there.
        self._index = index
        return report

    def _open(self) -> tuple[SearchIndex, str | None]:
        from toolcrib_embeddings import (  # noqa: PLC0415  # slow
            NoEncoder,
            SearchIndex,
            SnapshotInvalid,
        )

        representation = self.embedder.representation()
        encoder = self._writer.open_encoder()
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

    def _calibrate(self, index: SearchIndex) -> None:
        if index.wants_calibration:
            index.calibrate(self._writer.documents)

    def _save(self, *, calibrate: bool = True) -> None:
        with self._saving:
            index = self._index
            if index is None or index.revision == self._saved or _is_wordy(index):
                return
            if calibrate:
                self._calibrate(index)
            revision = index.revision
            index.save(self._folder)
            self._saved, self._saved_s = revision, time.monotonic()
        self._checkpoint("snapshot-saved")


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
