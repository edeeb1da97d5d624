"""The one path from entries to vectors: render, take what is stored, encode the rest.

The encoder is opened late, once, in whichever thread needs it first: that is slow. Knows no index.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import anyio.from_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, Vectors

if TYPE_CHECKING:
    # Slow to import, and not needed before the first search: `toolcrib stdio` answers without.
    from toolcrib_embeddings import Document, Encoder, FloatVector
    from toolcrib_embeddings.documents.representation import Representation
    from toolcrib_embeddings.encoding.tokens import TokenMatrix

_READ_AT_ONCE = 2_000
"""Entries whose written questions are looked up together."""
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
    tokens: Mapping[str, TokenMatrix] = field(default_factory=dict[str, "TokenMatrix"])
    """Token vectors by text hash: those that are stored, or were made on the way."""
    fresh_tokens: Mapping[str, TokenMatrix] = field(default_factory=dict[str, "TokenMatrix"])
    """Those of them that are not stored yet."""


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
        from toolcrib_embeddings.documents.representation import choose  # noqa: PLC0415  # slow

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
        documents = list(self.render(entries))
        texts = {p.text_hash: p.text for each in documents for p in represent.parts(each)}
        read_by_token = {document.text_hash for document in documents}
        encoded = self.encode(texts, tokens_of=read_by_token, on_progress=on_progress)
        if not encoded.fresh:
            return None
        tokens = _token_vectors(encoder, encoded.fresh_tokens)
        return Vectors(encoder_id=encoder.id, by_hash=_raw(encoded.fresh), tokens=tokens)

    def render(self, entries: Iterable[Entry]) -> Iterator[Document]:
        """Turn entries into the documents that are indexed, with the questions written for them."""
        return render(entries, self._store)

    def encode(
        self,
        texts: Mapping[str, str],
        *,
        tokens_of: Collection[str] = (),
        on_progress: Progress | None = None,
    ) -> Encoded:
        """Give every text, by its hash, its vector: from the store where it is known.

        Those of ``tokens_of`` get their token vectors too, where these are stored or come along
        with a vector that is made; `read_tokens` makes the others.

        Raises:
            EncoderError: The encoder cannot be opened, or it failed.
        """
        encoder = self.open()
        stored = self.stored(texts, tokens_of=tokens_of)
        vectors, tokens = dict(stored.vectors), dict(stored.tokens)
        missing = [key for key in texts if key not in vectors]
        # Alike lengths together: a batch costs as much as its longest text.
        missing.sort(key=lambda key: len(texts[key]))
        last = Encoded({}, {})
        for done, batch in _batched(missing, EMBED_BATCH):
            self.keep(last)
            report = partial(_report, on_progress, done, len(missing))
            read = encoder.encode_documents([texts[key] for key in batch], on_progress=report)
            fresh = dict(zip(batch, read.vectors, strict=True))
            new = {k: t for k, t in zip(batch, read.tokens or (), strict=False) if k in tokens_of}
            vectors |= fresh
            tokens |= new
            last = Encoded(vectors, fresh, tokens=tokens, fresh_tokens=new)
        return Encoded(vectors, last.fresh, len(missing), tokens, last.fresh_tokens)

    def stored(self, texts: Mapping[str, str], *, tokens_of: Collection[str] = ()) -> Encoded:
        """Give the vectors that are stored, and encode nothing.

        Raises:
            EncoderError: The encoder cannot be opened.
        """
        encoder = self.open()
        tokens = self._stored_tokens(encoder, tuple(tokens_of))
        return Encoded(self._stored(encoder, tuple(texts)), {}, tokens=tokens)

    def keep(self, encoded: Encoded) -> None:
        """Store what is fresh, and no transaction of entries brings along."""
        if not encoded.fresh and not encoded.fresh_tokens:
            return
        encoder = self.open()
        if encoded.fresh:
            self._store.put_embeddings(encoder.id, _raw(encoded.fresh))
        tokens = _token_vectors(encoder, encoded.fresh_tokens)
        if tokens:
            self._store.put_embeddings(tokens.encoder_id, tokens.by_hash)

    def read_tokens(self, texts: Mapping[str, str]) -> dict[str, TokenMatrix]:
        """Give every text, by its hash, its token vectors; those that are made are stored.

        For what was encoded before there were any. Nothing where the encoder makes none.

        Raises:
            EncoderError: The encoder cannot be opened, or it failed.
        """
        encoder = self.open()
        if encoder.token_id is None:
            return {}
        tokens = self._stored_tokens(encoder, tuple(texts))
        missing = [key for key in texts if key not in tokens]
        if missing:
            read = encoder.encode_documents([texts[key] for key in missing])
            fresh = dict(zip(missing, read.tokens or (), strict=True))
            self.keep(Encoded({}, {}, fresh_tokens=fresh))
            tokens |= fresh
        return tokens

    def _stored_tokens(self, encoder: Encoder, hashes: Sequence[str]) -> dict[str, TokenMatrix]:
        from toolcrib_embeddings.encoding.tokens import load_tokens  # noqa: PLC0415  # slow

        if encoder.token_id is None:
            return {}
        tokens: dict[str, TokenMatrix] = {}
        for key, raw in self._store.get_embeddings(encoder.token_id, hashes).items():
            # What is damaged is made again.
            with contextlib.suppress(ValueError):
                tokens[key] = load_tokens(raw)
        return tokens

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


def render(entries: Iterable[Entry], store: Store) -> Iterator[Document]:
    """Turn entries into the documents that are indexed, with the questions written for them."""
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow

    for some in in_lists(entries, _READ_AT_ONCE):
        written = store.written.find_questions([entry.content_hash for entry in some])
        for entry in some:
            its = written.get(entry.content_hash)
            yield render_document(entry, written=its.questions if its else ())


def _token_vectors(encoder: Encoder, tokens: Mapping[str, TokenMatrix]) -> Vectors | None:
    from toolcrib_embeddings.encoding.tokens import dump_tokens  # noqa: PLC0415  # slow

    if not tokens or encoder.token_id is None:
        return None
    raw = {key: dump_tokens(rows) for key, rows in tokens.items()}
    return Vectors(encoder_id=encoder.token_id, by_hash=raw)


def _raw(vectors: Mapping[str, FloatVector]) -> dict[str, bytes]:
    return {key: row.astype("<f4", copy=False).tobytes() for key, row in vectors.items()}


def in_lists(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give items in lists of at most ``size``."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _batched(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def _report(on_progress: Progress | None, before: int, total: int, done: int) -> None:
    # In a worker thread, this is where somebody who gave up can stop it. What was embedded stays.
    anyio.from_thread.check_cancelled()
    if on_progress:
        on_progress(before + done, total)
