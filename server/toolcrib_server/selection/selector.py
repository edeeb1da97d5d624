"""Which tool for this? Ranks entries for a query and says which signals found each.

Never leaves the process: one hop to a worker thread, where the query is encoded, the index
searched and the found entries read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryId, EntryKind, Revision, ServerName

if TYPE_CHECKING:
    # The index is slow to import and opened late; see `sync.indexer`.
    from toolcrib_embeddings import Hit, SearchIndex, Signal

MAX_K = 1_000
MAX_QUERY_CHARS = 100_000
_THREADS = 2
"""Encoding uses the cores by itself; more searches at once only fight for them."""
_CACHED_ANSWERS = 512
_CACHED_ENTRIES = 4_096


@dataclass(frozen=True, slots=True)
class Found:
    """One answer: the entry, its fused score, and the rank and score each signal gave it."""

    entry: Entry
    score: float
    signals: Mapping[str, Signal]


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked answer, best first, with the registry revision that it is true for."""

    query: str
    found: tuple[Found, ...]
    revision: Revision
    searched: int
    """How many entries were in the index."""


class _Entries:
    """Entries as read at one revision: what is found often is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = Revision(0)
        self._known: dict[EntryId, Entry] = {}

    def get(self, ids: Sequence[EntryId], revision: Revision) -> dict[EntryId, Entry]:
        """Get those that are live, from any thread."""
        if revision != self._revision or len(self._known) > _CACHED_ENTRIES:
            self._known, self._revision = {}, revision
        known = self._known
        missing = [key for key in ids if key not in known]
        if missing:
            known |= self._store.get_entries(missing, live=True)
        return {key: known[key] for key in ids if key in known}


class Selector:
    """Searches the index and reads what was found."""

    def __init__(self, store: Store, index: Callable[[], Awaitable[SearchIndex]]) -> None:
        self._entries = _Entries(store)
        self._index = index
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._answers: OrderedDict[tuple[object, ...], Answer] = OrderedDict()

    async def search(
        self,
        query: str,
        *,
        k: int = 5,
        kinds: Collection[EntryKind] | None = None,
        servers: Collection[ServerName] | None = None,
    ) -> Answer:
        """Rank the ``k`` entries that fit ``query`` best; fewer when there are fewer.

        Raises:
            InvalidInput: The query is blank or huge, or ``k`` is out of range.
        """
        _check(query, k)
        index = await self._index()
        # An answer is true for one revision of the registry, and only for that one.
        key = (index.revision, query, k, _set(kinds), _set(servers))
        if (answer := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
            return answer
        answer = await anyio.to_thread.run_sync(
            self._search, index, query, k, kinds, servers, limiter=self._limiter
        )
        if answer.revision == key[0]:
            self._answers[key] = answer
        while len(self._answers) > _CACHED_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    def _search(
        self,
        index: SearchIndex,
        query: str,
        k: int,
        kinds: Collection[EntryKind] | None,
        servers: Collection[ServerName] | None,
    ) -> Answer:
        revision = index.revision
        from toolcrib_embeddings.roster import Scope  # noqa: PLC0415  # slow

        scope = Scope.of(kinds=kinds, servers=servers)
        hits = index.search(query, k=k, scope=scope).hits
        return Answer(query, self._read(hits, revision), revision, index.size)

    def _read(self, hits: Sequence[Hit], revision: Revision) -> tuple[Found, ...]:
        entries = self._entries.get([hit.id for hit in hits], revision)
        # An entry may have gone since the index was last updated: it is left out, not invented.
        return tuple(
            Found(entries[hit.id], hit.score, hit.signals) for hit in hits if hit.id in entries
        )


def _set(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _check(query: str, k: int) -> None:
    if not query.strip():
        raise InvalidInput("The query is empty: say what the task is, as you would to a person.")
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidInput(
            f"The query has {len(query)} characters; the limit is {MAX_QUERY_CHARS}. "
            "Send the task, not the document."
        )
    if not 1 <= k <= MAX_K:
        raise InvalidInput(f"k is {k}; it must be from 1 to {MAX_K}.")
