"""Words that match exactly: BM25 over stemmed words, by way of bm25s.

The library scores; it indexes a fixed corpus in Python loops, so the matrix it scores with is
computed here, in whole arrays, through the extension point that it documents for that. Knows no
vectors. Immutable, as `FaissIndex` is.

BM25S: arXiv 2407.03618.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.documents.words import split_words
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.types import EntryId

from .index import Scored
from .postings import K1, B, IntVector, Postings, sum_rows
from .roster import EVERYTHING, Roster, Scope
from .spelling import near_spellings

_MAX_WORD_CHARS: Final = 40
"""A longer word is a key or a blob; its beginning is enough to tell it."""

_UNUSED_WORDS_KEPT: Final = 1_000
_SMALLEST_TOTAL: Final = 1e-9
_READ_QUERIES_KEPT: Final = 64
_MAX_CORRECTED: Final = 3
"""Unknown words of a query that are looked at for a slip: each costs a fraction of 1 ms."""


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

    def stems(self, words: Iterable[str]) -> list[str]:
        """Stem words that are split and lower-case already."""
        return self._stem(list(words))


class _Engine(Protocol):
    def get_scores_from_ids(self, query_tokens_ids: list[int]) -> FloatVector: ...


class Bm25Index:
    """BM25 (the Lucene form) over stemmed words. Safe to read from several threads."""

    def __init__(
        self,
        roster: Roster,
        vocabulary: Mapping[str, int],
        postings: Postings,
        names: Postings,
    ) -> None:
        """Index one row of postings for each row of the roster; most start from `empty`.

        ``postings`` are the words of the documents, ``names`` those of their names alone.
        """
        self.roster = roster
        self.vocabulary = vocabulary
        self.postings = postings
        self.names = names
        self._engine = _open_engine(postings.scores(len(vocabulary)))
        self._weights = postings.weigh(len(vocabulary))
        self._name_weights = _shares(names, len(vocabulary))
        self._frequency = np.bincount(postings.words, minlength=len(vocabulary))
        self._read_queries: dict[str, list[int | None]] = {}

    @classmethod
    def empty(cls) -> Bm25Index:
        """Return an index that holds nothing yet."""
        return cls(Roster.empty(), {}, Postings.empty(), Postings.empty())

    def __len__(self) -> int:
        return len(self.roster)

    def search(self, query: str, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope that share a word with the query, best first."""
        scores = self.all_scores(query)
        mask = self.roster.mask(scope)
        if mask is not None:
            scores = np.where(mask, scores, 0)
        rows = _best(scores, k)
        best: list[int] = rows.tolist()
        return list(zip(map(self.roster.ids.__getitem__, best), scores[rows].tolist(), strict=True))

    def scores(self, queries: Sequence[str], ids: Sequence[EntryId]) -> FloatMatrix:
        """Return the score of each query with each of ``ids``, all of which it holds.

        Shape ``(len(queries), len(ids))``, in their orders.
        """
        return self._sum(self.postings, self._weights, queries, ids)

    def name_coverage(self, queries: Sequence[str], ids: Sequence[EntryId]) -> FloatMatrix:
        """Return how much of each entry's name each query speaks of, from 0 to 1.

        A rare word of the name counts more than a common one, by its inverse document frequency
        among names. Shape ``(len(queries), len(ids))``.
        """
        return self._sum(self.names, self._name_weights, queries, ids, once=True)

    def _sum(
        self,
        postings: Postings,
        weights: FloatVector,
        queries: Sequence[str],
        ids: Sequence[EntryId],
        *,
        once: bool = False,
    ) -> FloatMatrix:
        rows = np.array([self.roster.rows[id_] for id_ in ids], dtype=np.intp)
        places, begins = postings.places(rows)
        words, weighed = postings.words[places], weights[places]
        asked = np.zeros((len(queries), len(self.vocabulary) + 1), dtype=np.float32)
        for line, query in zip(asked, queries, strict=True):
            for code in self.codes(query):
                if code is not None:
                    line[code] = 1 if once else line[code] + 1
        return sum_rows(asked[:, words] * weighed, begins)

    def codes(self, query: str) -> list[int | None]:
        """Return the numbers of a query's words, None for one that stands nowhere.

        Asked several times for each query, and read once.
        """
        codes = self._read_queries.get(query)
        if codes is None:
            codes = self._read(query)
            if len(self._read_queries) >= _READ_QUERIES_KEPT:
                self._read_queries.clear()
            self._read_queries[query] = codes
        return codes

    def _read(self, query: str) -> list[int | None]:
        stemmer = Stemmer()
        words = split_words(query)
        codes = [self.vocabulary.get(stem) for stem in stemmer.words(query)]
        unknown = [place for place, code in enumerate(codes) if code is None][:_MAX_CORRECTED]
        for place in unknown:
            codes[place] = self._corrected(stemmer, words[place])
        return codes

    def _corrected(self, stemmer: Stemmer, word: str) -> int | None:
        """Return the word that was probably meant: of those one edit away, the most frequent."""
        near = stemmer.stems(near_spellings(word))
        known = [self.vocabulary[w] for w in near if w in self.vocabulary]
        return max(known, key=lambda code: (self._frequency[code], -code), default=None)

    def all_scores(self, query: str) -> FloatVector:
        """Return the score of every row, in the roster's order."""
        known = [code for code in self.codes(query) if code is not None]
        if not known:
            return np.zeros(len(self), dtype=np.float32)
        return self._engine.get_scores_from_ids(known)

    def updated(self, upserts: Sequence[Document], removals: Collection[EntryId] = ()) -> Bm25Index:
        """Return the index after a change; an id both removed and upserted stays."""
        move = self.roster.after(upserts, removals)
        vocabulary = dict(self.vocabulary)
        arrived = [upserts[number] for number in move.newcomers]
        words = _read(vocabulary, (document.terms for document in arrived))
        names = _read(vocabulary, (document.local_name or document.name for document in arrived))
        return Bm25Index(
            move.roster,
            *_forget_unused(
                vocabulary,
                self.postings.followed_by(words).rows(move.source),
                self.names.followed_by(names).rows(move.source),
            ),
        )


def _read(vocabulary: dict[str, int], texts: Iterable[str]) -> Postings:
    """Count the words of texts; new words get the next numbers of the vocabulary."""
    stemmer = Stemmer()
    return Postings.of(
        [vocabulary.setdefault(w, len(vocabulary)) for w in stemmer.words(text)] for text in texts
    )


def _shares(names: Postings, vocabulary_size: int) -> FloatVector:
    """Return which share of its row each word is, weighed by rarity: those of a row sum to 1."""
    weights = names.idf(vocabulary_size)[names.words]
    lengths = np.diff(names.starts)
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    totals = np.bincount(row_of, weights=weights, minlength=len(lengths))
    return (weights / np.maximum(totals[row_of], _SMALLEST_TOTAL)).astype(np.float32)


def _forget_unused(
    vocabulary: dict[str, int], postings: Postings, names: Postings
) -> tuple[dict[str, int], Postings, Postings]:
    """Renumber when most words stand nowhere any more; seldom, for it costs a pass over all."""
    used: IntVector = np.union1d(postings.words, names.words)
    if len(vocabulary) <= 2 * len(used) + _UNUSED_WORDS_KEPT:
        return vocabulary, postings, names
    spelling = list(vocabulary)
    kept = {spelling[int(code)]: new for new, code in enumerate(used)}
    return kept, postings.renumbered(used), names.renumbered(used)


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
