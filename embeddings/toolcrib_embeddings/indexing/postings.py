"""How often which word stands in which row, in whole arrays. Knows no words, only their numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.vectors import FloatMatrix, FloatVector

K1: Final = 1.2
B: Final = 0.75

IntVector = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Postings:
    """How often which word stands in which row, row by row.

    Row ``r`` has the words ``words[starts[r]:starts[r + 1]]``, each ``counts`` times.
    """

    starts: IntVector
    words: IntVector
    counts: IntVector

    @classmethod
    def empty(cls) -> Postings:
        """Return postings of no row."""
        none = np.empty(0, dtype=np.int32)
        return cls(np.zeros(1, dtype=np.int32), none, none)

    @classmethod
    def of(cls, texts: Iterable[Sequence[int]]) -> Postings:
        """Count the words of each text."""
        said, lengths = array("i"), array("i")
        for text in texts:
            said.extend(text)
            lengths.append(len(text))
        words = np.array(said, dtype=np.int64)
        row_of = np.repeat(np.arange(len(lengths)), lengths)
        # One number for a word in a row, so that all rows are counted at once.
        size = int(words.max(initial=0)) + 1
        found, counts = np.unique(row_of * size + words, return_counts=True)
        starts = np.searchsorted(found, size * np.arange(len(lengths) + 1))
        return cls(
            starts.astype(np.int32),
            (found % size).astype(np.int32),
            counts.astype(np.int32),
        )

    def followed_by(self, other: Postings) -> Postings:
        """Append the rows of ``other``."""
        return Postings(
            np.concatenate((self.starts, self.starts[-1] + other.starts[1:])),
            np.concatenate((self.words, other.words)),
            np.concatenate((self.counts, other.counts)),
        )

    def rows(self, source: NDArray[np.intp]) -> Postings:
        """Take the given rows, in the given order."""
        places, begins = self.places(source)
        return Postings(begins.astype(np.int32), self.words[places], self.counts[places])

    def renumbered(self, used: IntVector) -> Postings:
        """Give each word its place in ``used``, which is sorted and holds them all."""
        words = np.searchsorted(used, self.words).astype(np.int32)
        return Postings(self.starts, words, self.counts)

    def scores(self, vocabulary_size: int) -> dict[str, Any]:
        """Return what each word adds to each row it stands in, word by word, as bm25s keeps it."""
        rows = len(self.starts) - 1
        row_of = np.repeat(np.arange(rows, dtype=np.int32), np.diff(self.starts))
        order = _stable_order(self.words)
        rarity = np.bincount(self.words, minlength=vocabulary_size)
        return {
            "data": self.weigh(vocabulary_size)[order],
            "indices": row_of[order].astype(np.intp),  # added at, half as fast through others
            "indptr": np.concatenate(([0], np.cumsum(rarity))).astype(np.int32),
            "num_docs": rows,
        }

    def weigh(self, vocabulary_size: int) -> FloatVector:
        """Return what each word adds to the BM25 of its row, in the order of ``words``."""
        rows = len(self.starts) - 1
        row_of = np.repeat(np.arange(rows, dtype=np.int32), np.diff(self.starts))
        words_in_row = np.bincount(row_of, weights=self.counts, minlength=rows)
        norm = 1 - B + B * words_in_row / max(float(words_in_row.mean()) if rows else 1.0, 1e-9)
        data = self.idf(vocabulary_size)[self.words] * self.counts
        return (data / (self.counts + K1 * norm[row_of])).astype(np.float32)

    def idf(self, vocabulary_size: int) -> FloatVector:
        """Return the inverse document frequency of each word of the vocabulary."""
        rows = len(self.starts) - 1
        rarity = np.bincount(self.words, minlength=vocabulary_size)
        return np.log1p((rows - rarity + 0.5) / (rarity + 0.5)).astype(np.float32)

    def sum(
        self, weights: FloatVector, factors: NDArray[np.uint16], rows: NDArray[np.intp]
    ) -> FloatMatrix:
        """Sum what the words of rows weigh, each times its factor; ``weights`` as `weigh` gives.

        ``factors`` has a column for each word; shape ``(len(factors), len(rows))``.
        """
        places, begins = self.places(rows)
        words, weighed = self.words[places].astype(np.intp), weights[places]
        # One zero more, so that a row that is empty, or begins at the end, sums to nothing.
        values = np.zeros((len(factors), len(words) + 1), dtype=np.float32)
        for line, its in zip(values[:, :-1], factors, strict=True):
            np.multiply(its[words], weighed, out=line)
        sums = np.add.reduceat(values, begins[:-1], axis=1)
        sums[:, begins[1:] == begins[:-1]] = 0
        return sums

    def places(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return where the words of the given rows stand, and where each row's begin therein."""
        first = self.starts[rows]
        lengths = self.starts[rows + 1] - first
        begins = np.concatenate(([0], np.cumsum(lengths)))
        shift = np.repeat(first - begins[:-1], lengths)
        return np.arange(int(begins[-1])) + shift, begins


def _stable_order(words: IntVector) -> NDArray[np.intp]:
    """Sort in two 16-bit passes, for which numpy has a radix sort: 3 ms in place of 22."""
    order = np.argsort((words & 0xFFFF).astype(np.uint16), kind="stable")
    if words.max(initial=0) > 0xFFFF:  # noqa: PLR2004
        order = order[np.argsort((words[order] >> 16).astype(np.uint16), kind="stable")]
    return order
