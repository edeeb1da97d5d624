"""Search: recall by meaning and by words, fuse, rank. Knows neither stores nor protocols.

Everything a search reads is immutable and replaced whole, so that searches never wait for a change.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import EntryId, Revision

from .corpus import Document, clean_text
from .encoder import Encoder, FloatVector
from .fusion import combine
from .hits import DENSE, LEXICAL, Hit, Ranking, Signal
from .index import FaissIndex, Scored
from .lexical import Bm25Index, Postings
from .options import DEFAULT_OPTIONS, SearchOptions
from .roster import EVERYTHING, Roster, Scope
from .snapshots import Header, Part, SnapshotInvalid, read_snapshot, write_snapshot

MAX_QUERY_CHARS: Final = 4_000
_RECALLED: Final = 100
"""Candidates from each retriever, at least; more when more are asked for."""
_REMEMBERED: Final = 256
_LONGEST_REMEMBERED: Final = 200
"""Hits; a longer answer is not kept, so that the memory of answers stays small."""


_Question: TypeAlias = tuple[tuple[str, ...], int, Scope, SearchOptions]


class _State:
    """All that a search reads, at one revision, with the answers given from it."""

    def __init__(self, dense: FaissIndex, lexical: Bm25Index, revision: Revision) -> None:
        self.dense = dense
        self.lexical = lexical
        self.revision = revision
        self._answers: OrderedDict[_Question, Ranking] = OrderedDict()
        self._lock = threading.Lock()

    def find_answer(self, question: _Question) -> Ranking | None:
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                self._answers.move_to_end(question)
            return answer

    def remember(self, question: _Question, answer: Ranking) -> None:
        if len(answer.hits) > _LONGEST_REMEMBERED:
            return
        with self._lock:
            self._answers[question] = answer
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)


class SearchIndex:
    """Finds entries by meaning and by words. Any number of readers, one writer at a time."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        empty = FaissIndex.empty(encoder.dimension)
        self._state = _State(empty, Bm25Index.empty(), Revision(0))
        self._writing = threading.Lock()

    @property
    def revision(self) -> Revision:
        """The change log's position that it has reached."""
        return self._state.revision

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return len(self._state.dense)

    def __len__(self) -> int:
        return self.size

    def __contains__(self, id_: object) -> bool:
        return id_ in self._state.dense.roster.rows

    def ids(self) -> tuple[EntryId, ...]:
        """All it holds, sorted."""
        return self._state.dense.roster.ids

    def search(
        self,
        query: str | Sequence[str],
        *,
        k: int,
        scope: Scope = EVERYTHING,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> Ranking:
        """Rank what fits the query, best first, at most ``k``; ties by id.

        Several queries are the steps of one task: the answer covers each of them. ``scope``
        narrows the corpus before the cut. An empty query finds nothing. A query is read up to its
        first 4,000 characters.
        """
        queries = [query] if isinstance(query, str) else query
        texts = tuple(text for q in queries if (text := clean_text(q, limit=MAX_QUERY_CHARS)))
        state = self._state
        question = (texts, k, scope, options)
        if not texts or k < 1 or not len(state.dense):
            return Ranking()
        answer = state.find_answer(question)
        if answer is None:
            answer = self._answer(state, question)
            state.remember(question, answer)
        return answer

    def _answer(self, state: _State, question: _Question) -> Ranking:
        (text, *_), k, scope, _ = question
        vector = self.encoder.encode([text])[0]
        depth = max(_RECALLED, k)
        dense = state.dense.search(vector, k=depth, scope=scope)
        lexical = state.lexical.search(text, k=depth, scope=scope)
        return Ranking(_rank(state, question, vector, dense, lexical))

    def update(
        self,
        upserts: Sequence[tuple[Document, FloatVector]],
        removals: Collection[EntryId],
        *,
        revision: Revision,
    ) -> None:
        """Bring it to ``revision``; readers see all of the change or none of it.

        Raises:
            EncoderError: a vector does not fit; nothing is changed.
        """
        with self._writing:
            state = self._state
            dense, lexical = state.dense, state.lexical
            if upserts or removals:
                dense = dense.updated(upserts, removals)
                lexical = lexical.updated([document for document, _ in upserts], removals)
            self._state = _State(dense, lexical, revision)

    def save(self, folder: Path) -> None:
        """Write a snapshot, atomically; searches and updates go on meanwhile.

        Raises:
            OSError: it cannot be written; the snapshot that was there is intact.
        """
        state = self._state
        header = Header(
            encoder=self.encoder.id,
            dimension=self.encoder.dimension,
            revision=state.revision,
            entries=len(state.dense),
        )
        write_snapshot(folder, header, _dump(state))

    @classmethod
    def load(cls, folder: Path, encoder: Encoder) -> SearchIndex:
        """Open the snapshot in ``folder``.

        Raises:
            SnapshotInvalid: it is missing, damaged, of another format, or of another encoder.
        """
        header, parts = read_snapshot(folder)
        if (header.encoder, header.dimension) != (encoder.id, encoder.dimension):
            raise SnapshotInvalid(
                f"it was made by {header.encoder} ({header.dimension} numbers), "
                f"the encoder is {encoder.id} ({encoder.dimension} numbers)"
            )
        index = cls(encoder)
        index._state = _load(header, parts)
        return index


def _dump(state: _State) -> dict[str, Part]:
    postings = state.lexical.postings
    return {
        "roster": json.dumps(state.dense.roster.dump()).encode(),
        "vectors": _raw(state.dense.vectors, "<f4"),
        "vocabulary": json.dumps(list(state.lexical.vocabulary)).encode(),
        "starts": _raw(postings.starts, "<i4"),
        "words": _raw(postings.words, "<i4"),
        "counts": _raw(postings.counts, "<i4"),
    }


def _load(header: Header, parts: Mapping[str, bytes]) -> _State:
    try:
        roster = Roster.load(json.loads(parts["roster"]))
        vectors = np.frombuffer(parts["vectors"], dtype="<f4")
        dense = FaissIndex(roster, vectors.reshape(header.entries, header.dimension))
        words = {word: code for code, word in enumerate(json.loads(parts["vocabulary"]))}
        counted = [
            np.frombuffer(parts[name], dtype="<i4") for name in ("starts", "words", "counts")
        ]
        lexical = Bm25Index(roster, words, Postings(*counted))
    except (KeyError, ValueError, TypeError) as error:
        raise SnapshotInvalid(f"its parts do not fit together: {error}") from error
    return _State(dense, lexical, Revision(header.revision))


def _raw(array: NDArray[Any], dtype: str) -> Part:
    # By way of bytes, because a memory view of nothing cannot be cast.
    return np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8).data


def _rank(
    state: _State,
    question: _Question,
    vector: FloatVector,
    dense: list[Scored],
    lexical: list[Scored],
) -> tuple[Hit, ...]:
    (text, *_), k, _, options = question
    places = {DENSE: _places(dense), LEXICAL: _places(lexical)}
    ids = sorted(places[DENSE].keys() | places[LEXICAL].keys())
    known = dict(dense)
    missing = [id_ for id_ in ids if id_ not in known]
    known.update(zip(missing, state.dense.scores(vector, missing).tolist(), strict=True))
    meant = np.array([known[id_] for id_ in ids], dtype=np.float32)
    words = state.lexical.scores(text, ids)
    ranks = [[place[id_][0] if id_ in place else 0 for id_ in ids] for place in places.values()]
    fused = combine(options.fusion, meant, words, ranks)
    order: list[int] = np.argsort(-fused, kind="stable")[:k].tolist()
    return tuple(_hit(ids[place], float(fused[place]), places) for place in order)


_Places: TypeAlias = Mapping[EntryId, tuple[int, float]]
"""Rank and score by id; a `Signal` is made for hits alone."""


def _places(scored: list[Scored]) -> _Places:
    return {id_: (rank, score) for rank, (id_, score) in enumerate(scored, start=1)}


def _hit(id_: EntryId, score: float, places: Mapping[str, _Places]) -> Hit:
    signals = {name: Signal(*ranks[id_]) for name, ranks in places.items() if id_ in ranks}
    return Hit(id_, score, signals)
