"""Writes entries into a search index: the whole registry, or what the log says was touched.

Reads them, has their texts embedded, and moves the index to the revision that they were read at.
Without an encoder that works they go in by their words alone. Knows no snapshot, and not when any
of this is to be done.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolcrib_registry.errors import EncoderError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryId, Revision, ServerName

from .bulk import uncollected
from .embedder import Embedder, Encoded, Progress, in_lists

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Document, Encoder, FloatVector, SearchIndex
    from toolcrib_embeddings.documents.representation import Part

logger = logging.getLogger(__name__)

ENCODER_RETRY_S = 30.0
"""Between attempts to open an encoder that could not be had: each may read a large file."""
_LOG_BATCH = 5_000
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


class IndexWriter:
    """Writes, one call at a time; every method blocks."""

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._tried_s = 0.0
        self.encoder_error: str | None = None
        """Why the last texts could not be encoded."""

    def fill(
        self, index: SearchIndex, on_progress: Progress | None, *, rebuilt: str
    ) -> IndexReport:
        """Write the whole registry into an empty index; ``rebuilt`` says why it was empty.

        Raises:
            StoreError: The registry cannot be read.
        """
        # Taken before reading the entries: what commits meanwhile is then seen again, not missed.
        head = self._store.head()
        documents = list(self._embedder.render(self._store.iter_entries(live=True)))
        return self._update(index, documents, frozenset(), head, on_progress, rebuilt=rebuilt)

    def follow(
        self,
        index: SearchIndex,
        on_progress: Progress | None,
        *,
        besides: Collection[EntryId] = (),
    ) -> IndexReport:
        """Bring an index to the head of the log; ``besides`` are entries to be read anew.

        Raises:
            StoreError: The registry cannot be read.
        """
        touched = self._touched_since(index.revision)
        ids = dict.fromkeys((*touched.ids, *besides))
        if touched.servers:
            # Turned on or off: all it owns. (Of a removed server, each entry has its own change.)
            for owned in self._store.hashes_by_server(touched.servers).values():
                ids.update(dict.fromkeys(owned))
        documents, live = self._read(tuple(ids))
        removals = frozenset(key for key in ids if key not in live and key in index)
        return self._update(index, documents, removals, touched.revision, on_progress, rebuilt=None)

    def add_tokens(self, index: SearchIndex) -> int:
        """Read entries that were indexed before there were token vectors; say how many are left.

        What is stored already comes at once; what must be encoded leaves half the time to others.

        Raises:
            EncoderError: The encoder failed.
        """
        waiting = index.untokened
        until_s = time.monotonic() + _TOKENS_TAKE_S
        # Another place in every process that does this, so that they share the work.
        start = os.getpid() * _TOKENS_AT_ONCE % max(len(waiting), 1)
        for ids in in_lists((*waiting[start:], *waiting[:start]), _TOKENS_AT_ONCE):
            documents = list(self.documents(ids))
            tokens = self._embedder.read_tokens({each.text_hash: each.text for each in documents})
            index.add_tokens([(d, tokens[d.text_hash]) for d in documents if d.text_hash in tokens])
            if time.monotonic() > until_s:
                break
        return len(index.untokened)

    def documents(self, ids: Sequence[EntryId]) -> Iterator[Document]:
        """Render those of these entries that search should know."""
        return self._embedder.render(self._store.get_entries(ids, live=True).values())

    # --- the encoder -----------------------------------------------------------------------

    def open_encoder(self) -> Encoder:
        """Open the encoder, or have what stands in its place; it is tried again later."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

        self._tried_s = time.monotonic()
        try:
            encoder = self._embedder.open()
        except (EncoderError, OSError) as error:
            self.encoder_error = str(error)
            logger.error("Search goes by words alone: %s", error)
            return NoEncoder(str(error))
        self.encoder_error = None
        return encoder

    def may_have_encoder(self, index: SearchIndex) -> bool:
        """Whether an index without an encoder is to be opened again, with one perhaps."""
        from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

        waited_s = time.monotonic() - self._tried_s
        if not isinstance(index.encoder, NoEncoder) or waited_s < ENCODER_RETRY_S:
            return False
        return not isinstance(self.open_encoder(), NoEncoder)

    def retry_encoder(self) -> None:
        """Have it tried when it is next wanted, whenever it was tried last."""
        self._tried_s = 0.0

    # --- from the log into the index -------------------------------------------------------

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

    @uncollected()
    def _read(self, ids: Sequence[EntryId]) -> tuple[list[Document], Collection[EntryId]]:
        """Read the documents of entries, and which of these are live."""
        live = self._store.get_entries(ids, live=True) if ids else {}
        return list(self._embedder.render(live.values())), frozenset(live)

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
        self._embedder.keep(encoded)
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
            encoded = self._embedder.encode(texts, tokens_of=tokens_of, on_progress=on_progress)
        except EncoderError as error:
            self.encoder_error = error.detail
            logger.error("Entries can be found by their words alone: %s", error)
            return self._embedder.stored(texts, tokens_of=tokens_of)
        self.encoder_error = None
        return encoded


def _vector(
    index: SearchIndex, parts: Sequence[Part], vectors: Mapping[str, FloatVector]
) -> FloatVector:
    """Make one vector of an entry's parts; nothing but zeros says that one of them is missing."""
    import numpy as np  # noqa: PLC0415  # slow

    if all(part.text_hash in vectors for part in parts):
        return index.representation.combine(parts, vectors)
    return np.zeros(index.encoder.dimension, dtype=np.float32)
