"""Vectors kept from one evaluation to the next, by encoder and text. Safe to delete.

A small database of its own, so that two evaluations at once, or one that is interrupted, leave it
whole.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from toolcrib_embeddings.encoder import Encoder, FloatMatrix, FloatVector

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
        by_hash = {_hash(text): text for text in texts}
        found: dict[str, FloatVector] = {}
        for some in _chunks(list(by_hash), _ASKED_AT_ONCE):
            marks = ",".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT text, vector FROM vectors WHERE encoder = ? AND text IN ({marks})",  # noqa: S608  # marks only
                (self._encoder.id, *some),
            )
            for key, raw in rows:
                vector = np.frombuffer(raw, dtype="<f4")
                if len(vector) == self._encoder.dimension:
                    found[by_hash[key]] = vector.astype(np.float32)
        return found

    def put(self, texts: Sequence[str], vectors: FloatMatrix) -> None:
        """Keep vectors, in one transaction."""
        rows = [
            (self._encoder.id, _hash(text), np.ascontiguousarray(row, dtype="<f4").tobytes())
            for text, row in zip(texts, vectors, strict=True)
        ]
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
        for start in range(0, len(missing), _ENCODED_AT_ONCE):
            some = missing[start : start + _ENCODED_AT_ONCE]
            vectors = self._encoder.encode(some)
            self.put(some, vectors)
            known |= zip(some, vectors, strict=True)
            if on_progress:
                on_progress(start + len(some), len(missing))
        return np.array([known[text] for text in texts], dtype=np.float32)


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
