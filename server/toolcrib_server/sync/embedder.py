"""The one path from entries to vectors: render, take what is stored, encode the rest.

The encoder is opened late, once, in whichever thread needs it first: that is slow. Knows no index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio.from_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, Vectors

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Document, Encoder, FloatVector
    from toolcrib_embeddings.representation import Representation

EMBED_BATCH = 512
"""Texts between two commits of their vectors: what a kill can cost."""

Progress = Callable[[int, int], None]
"""Called with (documents embedded so far, documents to embed)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors by text hash: all that were asked for, and those of them that are not stored yet."""

    vectors: Mapping[str, FloatVector]
    fresh: Mapping[str, FloatVector]
    embedded: int = 0
    """How many texts went through the encoder."""


class Embedder:
    """Gives entries their vectors. Safe to share between threads; every method blocks."""

    def __init__(
        self,
        store: Store,
        *,
        open_encoder: Callable[[], Encoder],
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._store = store
        self._open_encoder = open_encoder
        self._weights = weights
        self._encoder: Encoder | None = None
        self._opening = threading.Lock()

    def open(self) -> Encoder:
        """Open the encoder, or give the one that is open.

        Raises:
            EncoderError: It cannot be loaded; the next call tries again.
        """
        with self._opening:
            if self._encoder is None:
                self._encoder = self._open_encoder()
            return self._encoder

    def representation(self) -> Representation:
        """Tell which parts of a document are embedded, and what they weigh."""
        from toolcrib_embeddings.representation import choose  # noqa: PLC0415  # slow

        return choose(self._weights)

    def prepare(
        self, entries: Sequence[Entry], *, on_progress: Progress | None = None
    ) -> Vectors | None:
        """Encode what is needed to find these entries, to be stored together with them.

        None when every text has its vector already. Of very many texts, all but the last few
        hundred are stored at once, so that a kill costs little.

        Raises:
            EncoderError: The encoder cannot be opened, or it failed.
        """
        if not entries:
            return None
        encoder = self.open()
        represent = self.representation()
        listed = (represent.parts(document) for document in render(entries))
        texts = {part.text_hash: part.text for parts in listed for part in parts}
        encoded = self.encode(texts, on_progress=on_progress)
        if not encoded.fresh:
            return None
        return Vectors(encoder_id=encoder.id, by_hash=_raw(encoded.fresh))

    def encode(self, texts: Mapping[str, str], *, on_progress: Progress | None = None) -> Encoded:
        """Give every text, by its hash, its vector: from the store where it is known.

        Raises:
            EncoderError: The encoder cannot be opened, or it failed.
        """
        encoder = self.open()
        vectors = self._stored(encoder, tuple(texts))
        missing = [key for key in texts if key not in vectors]
        # Alike lengths together: a batch costs as much as its longest text.
        missing.sort(key=lambda key: len(texts[key]))
        fresh: dict[str, FloatVector] = {}
        for done, batch in _batched(missing, EMBED_BATCH):
            if fresh:
                self.keep(fresh)
            report = partial(_report, on_progress, done, len(missing))
            matrix = encoder.encode([texts[key] for key in batch], on_progress=report)
            fresh = dict(zip(batch, matrix, strict=True))
            vectors.update(fresh)
        return Encoded(vectors, fresh, len(missing))

    def stored(self, texts: Mapping[str, str]) -> Encoded:
        """Give the vectors that are stored, and encode nothing.

        Raises:
            EncoderError: The encoder cannot be opened.
        """
        return Encoded(self._stored(self.open(), tuple(texts)), {})

    def keep(self, fresh: Mapping[str, FloatVector]) -> None:
        """Store vectors that no transaction of entries brings along."""
        if fresh:
            self._store.put_embeddings(self.open().id, _raw(fresh))

    def _stored(self, encoder: Encoder, hashes: Sequence[str]) -> dict[str, FloatVector]:
        import numpy as np  # noqa: PLC0415  # slow

        stored = self._store.get_embeddings(encoder.id, hashes)
        rows = {
            key: np.frombuffer(raw, dtype="<f4")
            for key, raw in stored.items()
            if len(raw) == 4 * encoder.dimension
        }
        # What is no direction (damaged, or written by another) is encoded again.
        return {key: row for key, row in rows.items() if 0 < float(row @ row) < np.inf}


def render(entries: Iterable[Entry]) -> Iterator[Document]:
    """Turn entries into the documents that are indexed."""
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow

    return map(render_document, entries)


def _raw(vectors: Mapping[str, FloatVector]) -> dict[str, bytes]:
    return {key: row.astype("<f4", copy=False).tobytes() for key, row in vectors.items()}


def _batched(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def _report(on_progress: Progress | None, before: int, total: int, done: int) -> None:
    # In a worker thread, this is where somebody who gave up can stop it. What was embedded stays.
    anyio.from_thread.check_cancelled()
    if on_progress:
        on_progress(before + done, total)
