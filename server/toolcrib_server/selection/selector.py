"""Which tool for this? Ranks entries for a query and says which signals found each.

Never leaves the process: one hop to a worker thread, where the query is encoded, the index
searched and the found entries read.
"""

from __future__ import annotations

import difflib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_registry.errors import NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, NeedSource, Revision, ServerName, split_id

from .brief import Brief
from .freshness import Freshness
from .meter import SearchMeter, SearchOutcome
from .question import EVERY_STAGE, NO_FILTERS, Filters, Question, Rerank, Stages, ask
from .reading import Read, Reader, SplitBy
from .shelf import Shelf
from .tongues import Tongues

if TYPE_CHECKING:
    # The index is slow to import and opened late; see `sync.indexer`.
    from toolcrib_embeddings import Hit, Ranking, Scope, SearchIndex, SearchOptions, Signal
    from toolcrib_embeddings.abstention.calibration import Grounds
    from toolcrib_embeddings.learning.lessons import Lessons
    from toolcrib_embeddings.queries.steps import Reading
    from toolcrib_embeddings.ranking.companions import Companions

RETRIEVERS = ("dense", "lexical")
"""The signals that find an entry, and are always shown; the others explain its place."""
_THREADS = 2
"""Encoding uses the cores by itself; more searches at once only fight for them."""
_LONGEST_CACHED = 50
"""Results; a longer answer is not kept, so that the memory of answers stays small."""
_CACHED_ANSWERS = 512
_NEAR = 3


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: the entry in brief, its fused score, and the rank and score of each signal."""

    entry: Brief
    score: float
    signals: Mapping[str, Signal]
    alternatives: tuple[str, ...] = ()
    """Names of near-duplicates that stand under it, best first."""
    required_by: tuple[str, ...] = ()
    """Names of the results that depend on it, when that is why it is here."""
    required_how: NeedSource | None = None
    """How that is known: declared, learned from use, or read off schemas."""
    required_why: str = ""
    """The same in words, where it was learned."""
    steps: tuple[int, ...] = ()
    """Which steps of the question it answers, as places in ``Answer.steps``."""
    likelihood: float | None = None
    """Calibrated probability that it fits; None while nothing is calibrated."""
    stale_since: datetime | None = None
    """When its server was last heard, if it cannot be reached now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked answer, best first, with the registry revision that it is true for."""

    query: str | tuple[str, ...]
    found: tuple[Found, ...]
    revision: Revision
    searched: int
    """How many entries were in the index."""
    steps: tuple[str, ...] = ()
    """The steps of the question; empty when it is one."""
    unanswered: tuple[int, ...] = ()
    """Those of the steps, by place, for which nothing seems to fit."""
    step_likelihoods: tuple[float, ...] = ()
    """Calibrated probability that anything fits each step; empty while nothing is calibrated."""
    likelihood: float | None = None
    """Calibrated probability that anything here fits; None while nothing is calibrated."""
    abstained: bool = False
    """Whether nothing seems to fit: what was found is the nearest there is, and unlikely."""
    grounds: Grounds | None = None
    """How often it abstains wrongly, and what says so; None while nothing is calibrated."""
    reranked: bool = False
    rerank_off: str | None = None
    """Why the second stage had no part in it, where it should have and somebody can mend that."""
    split_by: SplitBy | None = None
    """Who found the steps; None where it is one."""
    read: Read | None = None
    """How a model read the query, where one was asked and had the time."""
    notice: str | None = None
    """What the asker should know of how the query was understood, and of what had no part in it."""
    unwanted: tuple[str, ...] = ()
    """What the query says is not wanted: it was not searched for."""
    lexical_only: str | None = None
    """Why entries were found by their words alone, all or some of them; None when none were."""
    took_ms: float = field(default=0.0, compare=False)
    """What finding it took, when it was found; an answer may be given many times."""
    filters: Filters = NO_FILTERS


class Selector:
    """Searches the index and reads what was found."""

    def __init__(
        self,
        store: Store,
        index: Callable[[], Awaitable[SearchIndex]],
        *,
        lessons: Callable[[str], Lessons | None] | None = None,
        companions: Callable[[str], Companions | None] | None = None,
        taken_up: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        """``lessons`` and ``companions`` give what searches of a principal have learned.

        ``taken_up`` waits, not for long, until that is at hand, and says why it is not.
        """
        self._store = store
        self._taken_up = taken_up
        self._lessons = lessons
        self._companions = companions
        self._shelf = Shelf(store)
        self._freshness = Freshness(store)
        self.meter = SearchMeter()
        self._index = index
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._answers: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._state: object = None
        self._is_warm = False
        self._tongues = Tongues()
        self.reader: Reader | None = None
        """Reads queries that rules do not do justice to; None while no model does."""

    async def search(
        self,
        query: str | Sequence[str],
        *,
        k: int = 5,
        filters: Filters = NO_FILTERS,
        stages: Stages = EVERY_STAGE,
        principal: str = "",
    ) -> Answer:
        """Rank the ``k`` entries that fit ``query`` best; fewer when there are fewer.

        Several queries are the steps of one task, and the answer covers each. ``principal`` is
        who asks: what was learned from their use applies.

        Raises:
            InvalidInput: The query is blank or huge, or ``k`` is out of range.
            NotFound: A filter names a server or a tag that is not there; near names are offered.
        """
        began = time.perf_counter()
        try:
            answer = await self._find(ask(query, k=k, filters=filters, stages=stages), principal)
        except Exception:
            took_s = time.perf_counter() - began
            self.meter.count(SearchOutcome.FAILED, duration_s=took_s)
            raise
        self.meter.count(
            SearchOutcome.NOTHING_FITS
            if answer.abstained or not answer.found
            else SearchOutcome.ANSWERED,
            duration_s=time.perf_counter() - began,
            lexical_only=answer.lexical_only is not None,
        )
        return _dated(answer, await self._freshness.stale())

    async def _find(self, question: Question, principal: str) -> Answer:
        index = await self._index()
        lacking = await self._taken_up() if self._taken_up else None
        answer = await self._answer(index, question, principal)
        return answer if lacking is None else _noted(answer, lacking)

    async def _answer(self, index: SearchIndex, question: Question, principal: str) -> Answer:
        lessons = self._lessons(principal) if self._lessons else None
        companions = self._companions(principal) if self._companions else None
        read = await self._read_query(question)
        # An answer is true for one state of the index, and only for that one.
        state = index.state
        key = (question, lessons and (lessons.tenant, lessons.version), companions, read)
        if state is not self._state:
            self._answers.clear()
            self._state = state
        if (answer := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
            return answer
        answer = await anyio.to_thread.run_sync(
            self._search, index, question, lessons, companions, read, limiter=self._limiter
        )
        is_worth_it = len(answer.found) <= _LONGEST_CACHED and answer.lexical_only is None
        if self._state is state is index.state and is_worth_it:
            self._answers[key] = answer
        while len(self._answers) > _CACHED_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    async def _read_query(self, question: Question) -> Read | None:
        if self.reader is None or not isinstance(question.query, str):
            return None
        return await self.reader.read(question.query)

    async def read(self, found: Sequence[Found]) -> dict[EntryId, Entry]:
        """Read what was found in full; what has gone since is left out."""
        ids = [one.entry.id for one in found]
        return await anyio.to_thread.run_sync(lambda: self._store.get_entries(ids, live=True))

    async def warm(self) -> None:
        """Read every entry into memory, once, and again after a change that emptied it."""
        self._is_warm = True
        await self.renew()

    async def renew(self) -> None:
        """Read again what a change of thousands of entries emptied, where `warm` was asked for."""
        if self._is_warm and not self._shelf.is_full:
            await anyio.to_thread.run_sync(self._shelf.fill)

    # --- in a worker thread ----------------------------------------------------------------

    def _search(
        self,
        index: SearchIndex,
        question: Question,
        lessons: Lessons | None,
        companions: Companions | None,
        read: Read | None,
    ) -> Answer:
        began = time.perf_counter()
        revision = index.revision
        ranking = index.search(
            question.query,
            k=question.k,
            scope=_scope(self._resolved(question.filters, revision)),
            options=_options(question.stages),
            lessons=lessons,
            companions=companions,
            reading=_reading(read),
        )
        if not ranking.hits:
            self._check_tags(question.filters, revision)
        answer = Answer(
            question.query,
            self._read(ranking, revision),
            revision,
            index.size,
            steps=ranking.steps,
            unanswered=ranking.unanswered,
            step_likelihoods=ranking.step_likelihoods,
            likelihood=ranking.likelihood,
            abstained=ranking.abstained,
            grounds=ranking.grounds,
            reranked=ranking.reranked,
            rerank_off=None if ranking.reranked else _rerank_off(index, question.stages.rerank),
            split_by=_split_by(question, read) if ranking.steps else None,
            read=read,
            notice=self._tongues.notice(question.query, index.encoder, read),
            unwanted=ranking.unwanted,
            lexical_only=ranking.lexical_only,
            filters=question.filters,
        )
        return replace(answer, took_ms=1e3 * (time.perf_counter() - began))

    def _read(self, ranking: Ranking, revision: Revision) -> tuple[Found, ...]:
        entries = self._shelf.get(ranking.ids, revision)
        # An entry may have gone since the index was last updated: it is left out, not invented.
        return tuple(_found(entries[hit.id], hit) for hit in ranking.hits if hit.id in entries)

    def _resolved(self, filters: Filters, revision: Revision) -> Filters:
        """Refuse servers that are not there; a tag of servers stands for those servers."""
        for name in sorted(filters.servers or ()):
            # A filter on a server that is not there would silently find nothing.
            self._store.get_server(name)
        if not filters.tags:
            return filters
        servers, tags = filters.servers, set(filters.tags)
        tagged = self._shelf.tags_of_servers(revision)
        for tag in filters.tags:
            having = frozenset(name for name, its in tagged.items() if tag in its)
            if having:
                tags.discard(tag)
                servers = having if servers is None else servers & having
        return replace(filters, servers=servers, tags=frozenset(tags) or None)

    def _check_tags(self, filters: Filters, revision: Revision) -> None:
        """Nothing was found: refuse a tag that nothing has."""
        # Whoever sees only some entries is not told the tags of the others.
        if not filters.tags or filters.ids is not None:
            return
        known = sorted(self._shelf.known_tags(revision))
        folded = {tag.casefold(): tag for tag in known}
        for tag in sorted(filters.tags - set(known)):
            near = difflib.get_close_matches(tag.casefold(), folded, n=_NEAR)
            raise NotFound("tag", tag, near=[folded[one] for one in near])


def _rerank_off(index: SearchIndex, wanted: Rerank) -> str | None:
    """Say what keeps the second stage from running: a fault always, the rest to who insists."""
    from toolcrib_embeddings import NoEncoder  # noqa: PLC0415  # slow

    encoder = index.encoder
    if wanted is Rerank.OFF or isinstance(encoder, NoEncoder):
        return None
    if encoder.token_fault or wanted is not Rerank.ON:
        return encoder.token_fault
    if encoder.token_id is None:
        return f"No head reads the encoder {encoder.id}: TOOLCRIB_TOKEN_HEAD may name one."
    if index.untokened:
        return (
            "What was found has no token vectors yet: `toolcrib serve` makes them beside its "
            "work, `toolcrib doctor --repair` at once."
        )
    return None


def _scope(filters: Filters) -> Scope:
    from toolcrib_embeddings import Scope  # noqa: PLC0415  # slow

    return Scope.of(
        kinds=filters.kinds,
        servers=filters.servers,
        tags=filters.tags,
        read_only=True if filters.read_only else None,
        destructive=None if filters.destructive else False,
        ids=filters.ids,
    )


def _options(stages: Stages) -> SearchOptions:
    from toolcrib_embeddings import Rerank as How  # noqa: PLC0415  # slow
    from toolcrib_embeddings import SearchOptions  # noqa: PLC0415  # slow

    return SearchOptions(
        rerank=How(stages.rerank.value),
        split=stages.split,
        fold=stages.fold,
        dependencies=stages.dependencies,
    )


def _reading(read: Read | None) -> Reading | None:
    from toolcrib_embeddings.queries.steps import Reading  # noqa: PLC0415  # slow

    return None if read is None else Reading(read.english, read.steps)


def _split_by(question: Question, read: Read | None) -> SplitBy:
    if not isinstance(question.query, str):
        return SplitBy.ASKER
    return SplitBy.RULES if read is None else SplitBy.MODEL


def _found(entry: Brief, hit: Hit) -> Found:
    return Found(
        entry,
        hit.score,
        hit.signals,
        alternatives=_names(hit.alternatives),
        required_by=_names(hit.required_by),
        required_how=hit.required_how,
        required_why=hit.required_why,
        steps=hit.steps,
        likelihood=hit.likelihood,
    )


def _noted(answer: Answer, lacking: str) -> Answer:
    """Say that nothing learned from use had a part in it; what is cached does not say so."""
    said = f"Found without what was learned from use: {lacking}"
    return replace(answer, notice=" ".join(filter(None, (answer.notice, said))))


def _dated(answer: Answer, stale: Mapping[ServerName, datetime]) -> Answer:
    """Say of each result whether its server can be reached; that is no part of what is cached."""
    if not any(one.entry.server in stale for one in answer.found):
        return answer
    found = (
        replace(one, stale_since=None if one.entry.server is None else stale.get(one.entry.server))
        for one in answer.found
    )
    return replace(answer, found=tuple(found))


def _names(ids: Sequence[EntryId]) -> tuple[str, ...]:
    return tuple(split_id(id_)[1] for id_ in ids)
