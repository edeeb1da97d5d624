"""Search: recall by meaning and by words, fuse, rank. Knows neither stores nor protocols.

Everything a search reads is immutable and replaced whole, so that searches never wait for a change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from toolcrib_registry.types import EntryId, Revision

from .abstention.calibration import LEAST_PROBES, Calibration
from .abstention.probes import choose
from .answering import answer as answering
from .answering.question import Question
from .answering.state import State
from .documents.corpus import Document
from .documents.representation import DEFAULT_REPRESENTATION, Representation
from .encoding.encoder import Encoder
from .encoding.tokens import TokenMatrix
from .encoding.unencoded import NoEncoder
from .hits import Ranking
from .indexing.index import FaissIndex
from .indexing.lexical import Bm25Index
from .indexing.scope import EVERYTHING, Scope
from .indexing.token_table import TokenTable
from .learning.lessons import Lessons
from .options import DEFAULT_OPTIONS, SearchOptions
from .persistence import load_state, save_state
from .queries.negation import read_query
from .queries.steps import MAX_STEPS, Reading
from .ranking.companions import NO_COMPANIONS, Companions
from .vectors import FloatVector

_CHANGED: Final = 0.2


class SearchIndex:
    """Finds entries by meaning and by words. Any number of readers, one writer at a time."""

    def __init__(
        self, encoder: Encoder, *, representation: Representation = DEFAULT_REPRESENTATION
    ) -> None:
        self.encoder = encoder
        self.representation = representation
        empty = FaissIndex.empty(encoder.dimension)
        words, tokens = Bm25Index.empty(), TokenTable.empty()
        self._state = State(empty, words, Revision(0), Calibration.shipped(), tokens=tokens)
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
            answer = answering.answer(question, encoder=self.encoder, state=state)
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
        question = Question((text,), 1, EVERYTHING, DEFAULT_OPTIONS, lessons)
        return answering.measure(question, encoder=self.encoder, state=state)

    def scores(self, query: str, *, scope: Scope = EVERYTHING) -> dict[EntryId, float]:
        """Score what fits the query by the default options: every entry of ``scope``, in no order.

        For ranking by something else beside relevance: a fifth of what `search` takes for as many.
        """
        state = self._state
        text = read_query(query).text
        if not text or not len(state.dense):
            return {}
        question = Question((text,), len(state.dense), scope, DEFAULT_OPTIONS, None)
        return answering.score_all(question, encoder=self.encoder, state=state)

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
            self._state = State(dense, lexical, revision, known, state.calibrated_at, tokens=table)

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
                self._state = State(
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
            self._state = State(
                now.dense, now.lexical, now.revision, learned, size, tokens=now.tokens
            )

    def save(self, folder: Path) -> None:
        """Write a snapshot, atomically; searches and updates go on meanwhile.

        Raises:
            OSError: it cannot be written; the snapshot that was there is intact.
        """
        state = self._state
        after = save_state(state, folder, self.encoder, self.representation)
        if after is None:
            return
        with self._writing:
            if self._state.tokens is state.tokens:
                self._state.tokens = after  # looks at the file: the memory of those is free again

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
        index = cls(encoder, representation=representation)
        index._state = load_state(folder, encoder, representation)
        return index
