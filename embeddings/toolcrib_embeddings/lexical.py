"""Words that match exactly: BM25 over stemmed words, by way of bm25s.

The library scores; it indexes a fixed corpus in Python loops, so the matrix it scores with is
computed here, in whole arrays, through the extension point that it documents for that. Knows no
vectors. Immutable, as `FaissIndex` is.

BM25S: arXiv 2407.03618.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import EntryId

from .corpus import Document, split_words
from .encoder import FloatVector
from .index import Scored
from .roster import EVERYTHING, Roster, Scope

K1: Final = 1.2
B: Final = 0.75
_MAX_WORD_CHARS: Final = 40
"""A longer word is a key or a blob; its beginning is enough to tell it."""

_UNUSED_WORDS_KEPT: Final = 1_000

IntVector = NDArray[np.int32]


class Stemmer:
    """Text to stemmed, lower-cased words. Not shared between threads: make one where needed."""

    def __init__(self) -> None:
        import Stemmer as library  # noqa: N813, PLC0415  # the library's name; needed here only

        snowball: Any = library
        self._stem: Callable[[list[str]], list[str]] = snowball.Stemmer("english").stemWords

    def words(self, text: str) -> list[str]:
        """Split, lower-case and stem."""
        plain = [word[:_MAX_WORD_CHARS].lower() for word in split_words(text)]
        return self._stem(plain)


class _Engine(Protocol):
    def get_scores_from_ids(self, query_tokens_ids: list[int]) -> FloatVector: ...


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
        pairs = [np.unique(np.array(t, dtype=np.int32), return_counts=True) for t in texts]
        lengths = [len(words) for words, _ in pairs]
        none = [np.empty(0, dtype=np.int32)]
        return cls(
            np.concatenate(([0], np.cumsum(lengths))).astype(np.int32),
            np.concatenate(none + [words for words, _ in pairs]).astype(np.int32),
            np.concatenate(none + [counts for _, counts in pairs]).astype(np.int32),
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
        lengths = np.diff(self.starts)[source]
        starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        shift = np.repeat(self.starts[:-1][source] - starts[:-1], lengths)
        places = np.arange(int(starts[-1])) + shift
        return Postings(starts, self.words[places], self.counts[places])

    def scores(self, vocabulary_size: int) -> dict[str, Any]:
        """Return what each word adds to each row it stands in, word by word, as bm25s keeps it."""
        rows = len(self.starts) - 1
        lengths = np.diff(self.starts)
        row_of = np.repeat(np.arange(rows, dtype=np.int32), lengths)
        words_in_row = np.bincount(row_of, weights=self.counts, minlength=rows)
        norm = 1 - B + B * words_in_row / max(float(words_in_row.mean()) if rows else 1.0, 1e-9)
        rarity = np.bincount(self.words, minlength=vocabulary_size)
        idf = np.log1p((rows - rarity + 0.5) / (rarity + 0.5))
        data = idf[self.words] * self.counts / (self.counts + K1 * norm[row_of])
        order = _stable_order(self.words)
        return {
            "data": data[order].astype(np.float32),
            "indices": row_of[order],
            "indptr": np.concatenate(([0], np.cumsum(rarity))).astype(np.int32),
            "num_docs": rows,
        }


class Bm25Index:
    """BM25 (the Lucene form) over stemmed words. Safe to read from several threads."""

    def __init__(self, roster: Roster, vocabulary: Mapping[str, int], postings: Postings) -> None:
        """Index one row of postings for each row of the roster; most start from `empty`."""
        self.roster = roster
        self.vocabulary = vocabulary
        self.postings = postings
        self._engine = _open_engine(postings.scores(len(vocabulary)))
        self._last: tuple[str, FloatVector] | None = None

    @classmethod
    def empty(cls) -> Bm25Index:
        """Return an index that holds nothing yet."""
        return cls(Roster.empty(), {}, Postings.empty())

    def __len__(self) -> int:
        return len(self.roster)

    def search(self, query: str, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope that share a word with the query, best first."""
        scores = self._all_scores(query)
        mask = self.roster.mask(scope)
        if mask is not None:
            scores = np.where(mask, scores, 0)
        rows = _best(scores, k)
        best: list[int] = rows.tolist()
        return list(zip(map(self.roster.ids.__getitem__, best), scores[rows].tolist(), strict=True))

    def scores(self, query: str, ids: Sequence[EntryId]) -> FloatVector:
        """Return the score of each of ``ids``, all of which it holds, in their order."""
        rows = np.array([self.roster.rows[id_] for id_ in ids], dtype=np.intp)
        return self._all_scores(query)[rows]

    def _all_scores(self, query: str) -> FloatVector:
        """Remember the last ones: `search` and `scores` are asked in turn for one query."""
        last = self._last
        if last is None or last[0] != query:
            last = self._last = (query, self._compute_scores(query))
        return last[1]

    def _compute_scores(self, query: str) -> FloatVector:
        known = [self.vocabulary[w] for w in Stemmer().words(query) if w in self.vocabulary]
        if not known:
            return np.zeros(len(self), dtype=np.float32)
        return self._engine.get_scores_from_ids(known)

    def updated(self, upserts: Sequence[Document], removals: Collection[EntryId] = ()) -> Bm25Index:
        """Return the index after a change; an id both removed and upserted stays."""
        move = self.roster.after(upserts, removals)
        vocabulary = dict(self.vocabulary)
        stemmer = Stemmer()
        arrivals = Postings.of(
            [vocabulary.setdefault(w, len(vocabulary)) for w in stemmer.words(upserts[n].terms)]
            for n in move.newcomers
        )
        postings = self.postings.followed_by(arrivals).rows(move.source)
        return Bm25Index(move.roster, *_forget_unused(vocabulary, postings))


def _forget_unused(
    vocabulary: dict[str, int], postings: Postings
) -> tuple[dict[str, int], Postings]:
    """Renumber when most words stand nowhere any more; seldom, for it costs a pass over all."""
    used: IntVector = np.unique(postings.words)
    if len(vocabulary) <= 2 * len(used) + _UNUSED_WORDS_KEPT:
        return vocabulary, postings
    spelling = list(vocabulary)
    kept = {spelling[int(code)]: new for new, code in enumerate(used)}
    words = np.searchsorted(used, postings.words).astype(np.int32)
    return kept, Postings(postings.starts, words, postings.counts)


def _stable_order(words: IntVector) -> NDArray[np.intp]:
    """Sort in two 16-bit passes, for which numpy has a radix sort: 3 ms in place of 22."""
    order = np.argsort((words & 0xFFFF).astype(np.uint16), kind="stable")
    if words.max(initial=0) > 0xFFFF:  # noqa: PLR2004
        order = order[np.argsort((words[order] >> 16).astype(np.uint16), kind="stable")]
    return order


def _best(scores: FloatVector, k: int) -> NDArray[np.intp]:
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        cut = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= cut]
    order = np.argsort(-scores[found], kind="stable")[: max(k, 0)]
    return found[order]


def _open_engine(scores: dict[str, Any]) -> _Engine:
    import bm25s  # noqa: PLC0415  # brings scipy: only a process that searches pays

    engine: Any = bm25s.BM25(method="lucene", k1=K1, b=B)
    engine.nonoccurrence_array = None
    engine.scores = scores
    return cast("_Engine", engine)
