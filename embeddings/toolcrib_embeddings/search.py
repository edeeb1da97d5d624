"""Search: recall by meaning and by words, fuse, rank. Knows neither stores nor protocols.

Everything a search reads is immutable and replaced whole, so that searches never wait for a change.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolcrib_registry.types import EntryId, Revision

from .abstention.calibration import LEAST_PROBES, Calibration
from .abstention.judging import Judge
from .abstention.probes import choose
from .answering import Question, score_all
from .answering import answer as rank
from .answering import measure as measure_question
from .documents.corpus import Document
from .documents.representation import DEFAULT_REPRESENTATION, Representation
from .encoding.encoder import Encoder
from .encoding.tokens import TokenMatrix
from .encoding.unencoded import NoEncoder
from .hits import Ranking
from .indexing.index import FaissIndex
from .indexing.lexical import Bm25Index
from .indexing.postings import Postings
from .indexing.roster import EVERYTHING, Roster, Scope
from .indexing.snapshots import (
    Header,
    Part,
    Snapshot,
    SnapshotInvalid,
    map_part,
    open_snapshot,
    write_snapshot,
)
from .indexing.token_table import BASE, TokenTable
from .learning.lessons import Lessons
from .options import DEFAULT_OPTIONS, SearchOptions
from .queries.negation import read_query
from .queries.steps import MAX_STEPS, Reading
from .ranking.companions import NO_COMPANIONS, Companions
from .vectors import FloatVector

_log = logging.getLogger(__name__)
_REMEMBERED: Final = 256
_CHANGED: Final = 0.2
_COUNTED: Final = ("starts", "words", "counts")
_LONGEST_REMEMBERED: Final = 200
"""Hits; a longer answer is not kept, so that the memory of answers stays small."""


class _State:
    """All that a search reads, at one revision, with the answers given from it."""

    def __init__(
        self,
        dense: FaissIndex,
        lexical: Bm25Index,
        revision: Revision,
        calibration: Calibration,
        calibrated_at: int = 0,
        *,
        tokens: TokenTable,
    ) -> None:
        self.dense = dense
        self.lexical = lexical
        self.revision = revision
        self.calibrated_at = calibrated_at
        self.tokens = tokens
        self.judge = Judge(dense, lexical, calibration)
        self._answers: OrderedDict[Question, Ranking] = OrderedDict()
        self._lock = threading.Lock()

    def find_answer(self, question: Question) -> Ranking | None:
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                self._answers.move_to_end(question)
            return answer

    def remember(self, question: Question, answer: Ranking) -> None:
        if len(answer.hits) > _LONGEST_REMEMBERED:
            return
        with self._lock:
            self._answers[question] = answer
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)


class SearchIndex:
    """Finds entries by meaning and by words. Any number of readers, one writer at a time."""

    def __init__(
        self, encoder: Encoder, *, representation: Representation = DEFAULT_REPRESENTATION
    ) -> None:
        self.encoder = encoder
        self.representation = representation
        empty = FaissIndex.empty(encoder.dimension)
        words, tokens = Bm25Index.empty(), TokenTable.empty()
        self._state = _State(empty, words, Revision(0), Calibration.shipped(), tokens=tokens)
        self._writing = threading.Lock()

    @property
    def revision(self) -> Revision:
        """The change log's position that it has reached."""
        return self._state.revision

    @property
    def state(self) -> object:
        """What answers are true for: another object after any change, of entries or likelihoods."""
        return self._state

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

    def revisions(self) -> dict[EntryId, Revision]:
        """Tell for each entry it holds which change last touched it, as it is here."""
        return self._state.dense.roster.revisions()

    @property
    def unembedded(self) -> frozenset[EntryId]:
        """Entries that have no vector here, and are found by their words alone."""
        return self._state.dense.unembedded

    def search(
        self,
        query: str | Sequence[str],
        *,
        k: int,
        scope: Scope = EVERYTHING,
        options: SearchOptions = DEFAULT_OPTIONS,
        lessons: Lessons | None = None,
        companions: Companions | None = None,
        reading: Reading | None = None,
    ) -> Ranking:
        """Rank what fits the query, best first, at most ``k``; ties by id.

        Several queries are the steps of one task: the answer covers each of the first 16. ``scope``
        narrows the corpus before the cut; ``lessons`` are what was learned from use, and
        ``companions`` what of entries that need each other. ``reading`` says of a single query what
        it is in English and which steps it has. An empty query finds nothing. A query is read up
        to its first 4,000 characters, and what it says is not wanted is not searched for.
        """
        queries = [query] if isinstance(query, str) else query
        wishes = [wish for one in queries[:MAX_STEPS] if (wish := read_query(one)).text]
        texts = tuple(wish.text for wish in wishes)
        state = self._state
        needed = companions or NO_COMPANIONS
        question = Question(texts, k, scope, options, lessons, reading=reading, companions=needed)
        if not texts or k < 1 or not len(state.dense):
            return Ranking()
        answer = state.find_answer(question)
        if answer is None:
            answer = rank(
                question,
                encoder=self.encoder,
                dense=state.dense,
                lexical=state.lexical,
                judge=state.judge,
                tokens=state.tokens,
            )
            if answer.lexical_only is None:
                state.remember(question, answer)
        unwanted = tuple(part for wish in wishes for part in wish.unwanted)
        return replace(answer, unwanted=unwanted) if unwanted else answer

    def strength(self, query: str, *, lessons: Lessons | None = None) -> float | None:
        """Weigh what the search for a query says of itself, for a `Confirmation`; rank nothing.

        None where there is nothing to search, or no vectors to search by.
        """
        state = self._state
        text = read_query(query).text
        if not text or not len(state.dense):
            return None
        return measure_question(
            Question((text,), 1, EVERYTHING, DEFAULT_OPTIONS, lessons),
            encoder=self.encoder,
            dense=state.dense,
            lexical=state.lexical,
            judge=state.judge,
        )

    def scores(self, query: str, *, scope: Scope = EVERYTHING) -> dict[EntryId, float]:
        """Score what fits the query by the default options: every entry of ``scope``, in no order.

        For ranking by something else beside relevance: a fifth of what `search` takes for as many.
        """
        state = self._state
        text = read_query(query).text
        if not text or not len(state.dense):
            return {}
        question = Question((text,), len(state.dense), scope, DEFAULT_OPTIONS, None)
        return score_all(question, encoder=self.encoder, dense=state.dense, lexical=state.lexical)

    def update(
        self,
        upserts: Sequence[tuple[Document, FloatVector]],
        removals: Collection[EntryId],
        *,
        revision: Revision,
        tokens: Mapping[EntryId, TokenMatrix] | None = None,
    ) -> None:
        """Bring it to ``revision``; readers see all of the change or none of it.

        ``tokens`` are the token vectors of upserts; those without can have them later, see
        `add_tokens`.

        Raises:
            EncoderError: a vector does not fit; nothing is changed.
        """
        with self._writing:
            state = self._state
            dense, lexical = state.dense, state.lexical
            if upserts or removals:
                dense = dense.updated(upserts, removals)
                lexical = lexical.updated([document for document, _ in upserts], removals)
            changed = {document.id for document, _ in upserts}
            table = state.tokens.updated(
                {id_: rows for id_, rows in (tokens or {}).items() if id_ in changed},
                {*changed, *removals},
            )
            known = state.judge.calibration
            self._state = _State(dense, lexical, revision, known, state.calibrated_at, tokens=table)

    @property
    def untokened(self) -> tuple[EntryId, ...]:
        """Entries whose token vectors are not here yet, which the second stage passes over."""
        state = self._state
        if self.encoder.token_id is None or len(state.tokens) == len(state.dense):
            return ()
        return tuple(id_ for id_ in state.dense.roster.ids if id_ not in state.tokens)

    def add_tokens(self, tokens: Sequence[tuple[Document, TokenMatrix]]) -> int:
        """Add token vectors of entries; return how many were taken.

        Those of an entry that has changed since, or is gone, are not.
        """
        with self._writing:
            state = self._state
            roster = state.dense.roster
            arrivals = {
                document.id: rows
                for document, rows in tokens
                if (row := roster.rows.get(document.id)) is not None
                and roster.label(row).revision == document.revision
            }
            if arrivals:
                self._state = _State(
                    state.dense,
                    state.lexical,
                    state.revision,
                    state.judge.calibration,
                    state.calibrated_at,
                    tokens=state.tokens.updated(arrivals),
                )
            return len(arrivals)

    @property
    def wants_calibration(self) -> bool:
        """Whether it has grown or shrunk by a fifth since its likelihoods were calibrated."""
        if isinstance(self.encoder, NoEncoder):
            return False
        size, before = self.size, self._state.calibrated_at
        return size >= LEAST_PROBES and abs(size - before) > _CHANGED * max(before, 1)

    def calibrate(self, read: Callable[[Sequence[EntryId]], Iterable[Document]]) -> None:
        """Learn from a sample of its own entries what a fitting answer looks like here.

        ``read`` gives the documents of ids, those that there are. Takes a second or more, most of
        it to encode questions made of them; searches go on meanwhile.
        """
        state = self._state
        rows = [state.dense.roster.ids[row] for row in choose(len(state.dense))]
        samples = [
            (row, document)
            for document in read(rows)
            if (row := state.dense.roster.rows.get(document.id)) is not None
        ]
        learned = state.judge.calibrated(samples, state.dense, self.encoder)
        with self._writing:
            now = self._state
            size = len(state.dense)
            self._state = _State(
                now.dense, now.lexical, now.revision, learned, size, tokens=now.tokens
            )

    def save(self, folder: Path) -> None:
        """Write a snapshot, atomically; searches and updates go on meanwhile.

        Raises:
            OSError: it cannot be written; the snapshot that was there is intact.
        """
        state = self._state
        header = Header(
            encoder=self.encoder.id,
            representation=self.representation.id,
            dimension=self.encoder.dimension,
            revision=state.revision,
            entries=len(state.dense),
        )
        token_id = self.encoder.token_id
        if token_id is None or not len(state.tokens):
            write_snapshot(folder, header, _dump(state))
            return
        dump = state.tokens.dump(token_id)
        known = {BASE: dump.digest} if dump.digest else {}
        parts = {**_dump(state), **dump.parts, BASE: dump.base}
        digest = write_snapshot(folder, header, parts, known=known)[BASE]
        if dump.digest is None:
            self._look_at(state.tokens, dump.parts, folder, digest, token_id)

    def _look_at(
        self,
        before: TokenTable,
        parts: Mapping[str, bytes],
        folder: Path,
        digest: str,
        token_id: str,
    ) -> None:
        """Look at token vectors in the file that was just written: their memory is free again."""
        try:
            after = TokenTable.load(token_id, parts, map_part(folder, BASE, digest))
        except SnapshotInvalid:
            return  # another process has written meanwhile; these stay in memory
        with self._writing:
            if self._state.tokens is before:
                self._state.tokens = after

    @classmethod
    def load(
        cls,
        folder: Path,
        encoder: Encoder,
        *,
        representation: Representation = DEFAULT_REPRESENTATION,
    ) -> SearchIndex:
        """Open the snapshot in ``folder``.

        Raises:
            SnapshotInvalid: it is missing, damaged, of another format, of another encoder, or of
                documents represented otherwise.
        """
        snapshot = open_snapshot(folder, mapped=(BASE,))
        header = snapshot.header
        if (header.encoder, header.dimension) != (encoder.id, encoder.dimension):
            raise SnapshotInvalid(
                f"it was made by {header.encoder} ({header.dimension} numbers), "
                f"the encoder is {encoder.id} ({encoder.dimension} numbers)"
            )
        if header.representation != representation.id:
            raise SnapshotInvalid(
                f"its documents are weighed {header.representation}, wanted is {representation.id}"
            )
        index = cls(encoder, representation=representation)
        index._state = _load(snapshot, _load_tokens(snapshot, encoder.token_id))
        return index


def _dump(state: _State) -> dict[str, Part]:
    postings, names = state.lexical.postings, state.lexical.names
    calibration = {"size": state.calibrated_at, **state.judge.calibration.dump()}
    return {
        "calibration": json.dumps(calibration).encode(),
        "roster": json.dumps(state.dense.roster.dump()).encode(),
        "vectors": _raw(state.dense.vectors, "<f4"),
        "vocabulary": json.dumps(list(state.lexical.vocabulary)).encode(),
        "starts": _raw(postings.starts, "<i4"),
        "words": _raw(postings.words, "<i4"),
        "counts": _raw(postings.counts, "<i4"),
        "name_starts": _raw(names.starts, "<i4"),
        "name_words": _raw(names.words, "<i4"),
        "name_counts": _raw(names.counts, "<i4"),
    }


def _load_tokens(snapshot: Snapshot, token_id: str | None) -> TokenTable:
    """Read token vectors; where they are damaged or another's, they are made anew, in time."""
    if token_id is None or BASE not in snapshot.mapped:
        return TokenTable.empty()
    try:
        return TokenTable.load(token_id, snapshot.parts, snapshot.mapped[BASE])
    except ValueError as error:
        _log.warning("Token vectors are left out of the index: %s", error)
        return TokenTable.empty()


def _load(snapshot: Snapshot, tokens: TokenTable) -> _State:
    header, parts = snapshot.header, snapshot.parts
    try:
        roster = Roster.load(json.loads(parts["roster"]))
        vectors = np.frombuffer(parts["vectors"], dtype="<f4")
        dense = FaissIndex(roster, vectors.reshape(header.entries, header.dimension))
        words = {word: code for code, word in enumerate(json.loads(parts["vocabulary"]))}
        postings, names = (
            Postings(*(np.frombuffer(parts[prefix + name], dtype="<i4") for name in _COUNTED))
            for prefix in ("", "name_")
        )
        lexical = Bm25Index(roster, words, postings, names)
    except (KeyError, ValueError, TypeError) as error:
        raise SnapshotInvalid(f"its parts do not fit together: {error}") from error
    calibration = _load_calibration(parts)
    return _State(dense, lexical, Revision(header.revision), *calibration, tokens=tokens)


def _load_calibration(parts: Mapping[str, bytes]) -> tuple[Calibration, int]:
    """Read the calibration and the size it was made at; of another release it is made anew."""
    try:
        said: dict[str, Any] = json.loads(parts["calibration"])
        return Calibration.load(said), int(said["size"])
    except (KeyError, ValueError, TypeError):
        return Calibration.shipped(), 0


def _raw(array: NDArray[Any], dtype: str) -> Part:
    # By way of bytes, because a memory view of nothing cannot be cast.
    return np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8).data
