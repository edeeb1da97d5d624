"""Vectors kept from one evaluation to the next, by encoder and text. Safe to delete.

A small database of its own, so that two evaluations at once, or one that is interrupted, leave it
whole.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from toolcrib_embeddings.encoding.encoder import Encoder
from toolcrib_embeddings.encoding.tokens import TokenMatrix, dump_tokens, load_tokens
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

_FILE: Final = "vectors.db"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS vectors "
    "(encoder TEXT, text TEXT, vector BLOB, PRIMARY KEY (encoder, text)) WITHOUT ROWID"
)
_ENCODED_AT_ONCE: Final = 512
_ASKED_AT_ONCE: Final = 500
_WAIT_S: Final = 10.0

logger = logging.getLogger(__name__)


class VectorCache:
    """The vectors of one encoder. Belongs to one thread; close it, or use it as a context."""

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        """Open the cache in ``folder``; with None, or where none can be kept, only in memory."""
        self._encoder = encoder
        self._database = _open(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; what was put in it is in it."""
        self._database.close()

    def find(self, texts: Iterable[str]) -> dict[str, FloatVector]:
        """Find the vectors of those texts that have one here."""
        found = self._find(self._encoder.id, texts)
        vectors = {text: np.frombuffer(raw, dtype="<f4") for text, raw in found.items()}
        sized = {t: v for t, v in vectors.items() if len(v) == self._encoder.dimension}
        return {text: vector.astype(np.float32) for text, vector in sized.items()}

    def find_tokens(self, texts: Iterable[str]) -> dict[str, TokenMatrix]:
        """Find the token vectors of those texts that have some here."""
        if self._encoder.token_id is None:
            return {}
        found = self._find(self._encoder.token_id, texts)
        return {text: load_tokens(raw) for text, raw in found.items()}

    def put(self, texts: Sequence[str], vectors: FloatMatrix) -> None:
        """Keep vectors, in one transaction."""
        rows = zip(texts, vectors, strict=True)
        self._put(
            self._encoder.id,
            {text: np.ascontiguousarray(row, dtype="<f4").tobytes() for text, row in rows},
        )

    def put_tokens(self, tokens: Mapping[str, TokenMatrix]) -> None:
        """Keep token vectors, in one transaction."""
        if self._encoder.token_id is not None:
            raw = {text: dump_tokens(rows) for text, rows in tokens.items()}
            self._put(self._encoder.token_id, raw)

    def _find(self, encoder_id: str, texts: Iterable[str]) -> dict[str, bytes]:
        by_hash = {_hash(text): text for text in texts}
        found: dict[str, bytes] = {}
        for some in _chunks(list(by_hash), _ASKED_AT_ONCE):
            marks = ",".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT text, vector FROM vectors WHERE encoder = ? AND text IN ({marks})",  # noqa: S608  # marks only
                (encoder_id, *some),
            )
            found.update((by_hash[key], raw) for key, raw in rows)
        return found

    def _put(self, encoder_id: str, raw: Mapping[str, bytes]) -> None:
        rows = [(encoder_id, _hash(text), held) for text, held in raw.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            logger.warning("Vectors are not kept for the next time: %s", error)

    def encode(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None
    ) -> FloatMatrix:
        """Give the vectors of texts, in order; those that are new are encoded and kept.

        ``on_progress`` is told how many of the new ones are done, and how many they are.
        """
        known = self.find(texts)
        missing = sorted({text for text in texts if text not in known}, key=len)
        for done, some in _steps(missing):
            vectors = self._encoder.encode(some)
            self.put(some, vectors)
            known |= zip(some, vectors, strict=True)
            if on_progress:
                on_progress(done + len(some), len(missing))
        return np.array([known[text] for text in texts], dtype=np.float32)

    def tokens(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None
    ) -> dict[str, TokenMatrix]:
        """Give the token vectors of texts; those that are new are encoded, and kept.

        Their vectors are kept with them. Empty where the encoder makes no token vectors.
        """
        if self._encoder.token_id is None:
            return {}
        known = self.find_tokens(texts)
        missing = sorted({text for text in texts if text not in known}, key=len)
        for done, some in _steps(missing):
            read = self._encoder.encode_documents(some)
            fresh = dict(zip(some, read.tokens or (), strict=True))
            self.put(some, read.vectors)
            self.put_tokens(fresh)
            known |= fresh
            if on_progress:
                on_progress(done + len(some), len(missing))
        return known


def _steps(texts: list[str]) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(texts), _ENCODED_AT_ONCE):
        yield start, texts[start : start + _ENCODED_AT_ONCE]


def _open(folder: Path | None) -> sqlite3.Connection:
    if folder is None:
        return _prepared(":memory:")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _prepared(str(folder / _FILE))
    except sqlite3.DatabaseError as error:
        logger.warning("%s is put aside: %s", folder / _FILE, error)
    except OSError as error:
        logger.warning("Vectors are not kept for the next time: %s", error)
        return _prepared(":memory:")
    return _replaced(folder)


def _replaced(folder: Path) -> sqlite3.Connection:
    """Start anew where the file is damaged: it holds nothing that cannot be encoded again."""
    try:
        (folder / _FILE).replace(folder / f"{_FILE}.damaged")
        return _prepared(str(folder / _FILE))
    except (OSError, sqlite3.Error):
        return _prepared(":memory:")


def _prepared(place: str) -> sqlite3.Connection:
    database = sqlite3.connect(place, timeout=_WAIT_S)
    try:
        database.execute(_SCHEMA)
        database.execute("SELECT count(*) FROM vectors WHERE encoder = ''")
        database.commit()
    except sqlite3.Error:
        database.close()
        raise
    return database


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
