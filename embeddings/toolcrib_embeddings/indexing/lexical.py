"""Words that match exactly: BM25 over stemmed words, by way of bm25s.

The library scores; it indexes a fixed corpus in Python loops, so the matrix it scores with is
computed here, in whole arrays, through the extension point that it documents for that. Knows no
vectors. Immutable, as `FaissIndex` is.

BM25S: arXiv 2407.03618.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.vectors import FloatMatrix, FloatVector
from toolcrib_registry.types import EntryId

from .index import Scored, ScoredRows
from .postings import K1, B, IntVector, Postings
from .query_words import QueryWords
from .roster import Roster
from .scope import EVERYTHING, Scope
from .stemming import Stemmer

_UNUSED_WORDS_KEPT: Final = 1_000
_SMALLEST_TOTAL: Final = 1e-9


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
        frequency = np.bincount(postings.words, minlength=len(vocabulary))
        self._query_words = QueryWords(vocabulary, frequency)

    @classmethod
    def empty(cls) -> Bm25Index:
        """Return an index that holds nothing yet."""
        return cls(Roster.empty(), {}, Postings.empty(), Postings.empty())

    def __len__(self) -> int:
        return len(self.roster)

    def search(self, query: str, *, k: int, scope: Scope = EVERYTHING) -> list[Scored]:
        """Return the best ``k`` in scope that share a word with the query, best first."""
        rows, scores = self.best(query, k=k, scope=scope)
        return list(zip(self.roster.take_ids(rows), scores.tolist(), strict=True))

    def best(self, query: str, *, k: int, scope: Scope = EVERYTHING) -> ScoredRows:
        """Return what `search` does, as rows."""
        scores = self.all_scores(query)
        mask = self.roster.mask(scope)
        if mask is not None:
            scores = np.where(mask, scores, 0)
        rows = _best(scores, k)
        return rows, scores[rows]

    def scores(self, queries: Sequence[str], ids: Sequence[EntryId]) -> FloatMatrix:
        """Return the score of each query with each of ``ids``, all of which it holds.

        Shape ``(len(queries), len(ids))``, in their orders.
        """
        return self.score_rows(self.count_words(queries), self._rows(ids))

    def name_coverage(self, queries: Sequence[str], ids: Sequence[EntryId]) -> FloatMatrix:
        """Return how much of each entry's name each query speaks of, from 0 to 1.

        A rare word of the name counts more than a common one, by its inverse document frequency
        among names. Shape ``(len(queries), len(ids))``.
        """
        return self.cover_names(self.count_words(queries), self._rows(ids))

    def count_words(self, queries: Sequence[str]) -> NDArray[np.uint16]:
        """Count the words of queries: a line each, a column for each word of the vocabulary."""
        asked = np.zeros((len(queries), len(self.vocabulary) + 1), dtype=np.uint16)
        for line, query in zip(asked, queries, strict=True):
            for code in self.codes(query):
                if code is not None:
                    line[code] += 1
        return asked

    def score_rows(self, asked: NDArray[np.uint16], rows: NDArray[np.intp]) -> FloatMatrix:
        """Return what `scores` does, of words that were counted, by rows."""
        return self.postings.sum(self._weights, asked, rows)

    def cover_names(self, asked: NDArray[np.uint16], rows: NDArray[np.intp]) -> FloatMatrix:
        """Return what `name_coverage` does, of words that were counted, by rows."""
        return self.names.sum(self._name_weights, np.minimum(asked, 1), rows)

    def _rows(self, ids: Sequence[EntryId]) -> NDArray[np.intp]:
        return np.array([self.roster.rows[id_] for id_ in ids], dtype=np.intp)

    def codes(self, query: str) -> Sequence[int | None]:
        """Return the numbers of a query's words, None for one that stands nowhere."""
        return self._query_words.codes(query)

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
    rows = np.flatnonzero(scores > 0)
    found = scores[rows]
    if 0 < k < len(rows):
        kept = found >= np.partition(found, len(rows) - k)[len(rows) - k]
        rows, found = rows[kept], found[kept]
    return rows[np.argsort(-found, kind="stable")[: max(k, 0)]]


def _open_engine(scores: dict[str, Any]) -> _Engine:
    import bm25s  # noqa: PLC0415  # brings scipy: only a process that searches pays

    engine: Any = bm25s.BM25(method="lucene", k1=K1, b=B)
    engine.nonoccurrence_array = None
    engine.scores = scores
    return cast("_Engine", engine)
