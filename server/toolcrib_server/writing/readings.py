"""Has a model read queries: in English, where they are not, and in steps, where they have several.

A search waits for it no longer than it was told to; what comes later is there the next time. Most
queries are never sent: one short request in English needs no reading.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import WrittenReading, hash_query
from toolcrib_server.selection.reading import Read

from .author import Author
from .cleaning import keep_english, keep_steps, read_object
from .pace import Pace
from .prompts import LONGEST_QUERY, ask_reading

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 60.0
_LONG_WORDS: Final = 25
"""A query of more words may have steps that no rule sees."""
_AT_ONCE: Final = 4
"""Queries that are read at the same time; the others are searched for by rules."""
_REMEMBERED: Final = 1_000
_REST_S: Final = 30.0
"""After a failure nobody is asked for so long."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a reading of a query is wanted for."""

    translated: bool


class QueryReader:
    """Has queries read. Enter it before use; leaving stops what is under way."""

    def __init__(
        self,
        store: Store,
        author: Author,
        pace: Pace,
        *,
        budget_s: float,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``budget_s`` is how long a search waits at most."""
        self._store = store
        self._author = author
        self._pace = pace
        self._budget_s = budget_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._rests_until = 0.0
        self._known: OrderedDict[str, Read | None] = OrderedDict()
        self._pending: dict[str, anyio.Event] = {}
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def read(self, query: str) -> Read | None:
        """Say how a model reads a query; None: by rules, for it needs no more or there is no time.

        Never fails, and never waits longer than the budget.
        """
        text = query.strip()
        if not 0 < len(text) <= LONGEST_QUERY:
            return None
        key = hash_query(text)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        wanted = _wish(text)
        if wanted is None:
            self._remember(key, None)
        elif key in self._pending or self._start(key, text, wanted):
            with anyio.move_on_after(self._budget_s):
                await self._pending[key].wait()
        return self._known.get(key)

    def _start(self, key: str, text: str, wanted: _Wish) -> bool:
        """Have it read beside the search, which need not wait for it."""
        is_busy = len(self._pending) >= _AT_ONCE or self._clock() < self._rests_until
        if self._tasks is None or is_busy:
            return False
        self._pending[key] = anyio.Event()
        self._tasks.start_soon(self._learn, key, text, wanted)
        return True

    async def _learn(self, key: str, text: str, wanted: _Wish) -> None:
        try:
            kept = await self._recall(key)
            if kept is None and await self._pace.take():
                kept = await self._ask(key, text, wanted)
            if kept is not None:
                self._remember(key, _read(kept))
        except ToolcribError as error:
            self._rests_until = self._clock() + _REST_S
            logger.info("A query is read by rules: %s", error.detail)
        finally:
            self._pending.pop(key).set()

    async def _ask(self, key: str, text: str, wanted: _Wish) -> WrittenReading:
        body = ask_reading(text, translated=wanted.translated)
        wrote = await self._author.ask(body, timeout_s=self._timeout_s)
        given = read_object(wrote.text) or {}
        english = keep_english(given, query=text) if wanted.translated else None
        source = text if not wanted.translated else english or ""
        reading = WrittenReading(
            query_hash=key,
            writer=Author.sign(wrote.model),
            at=datetime.now(UTC),
            english=english,
            # Where it has to be in English and is not, its steps are grounded in nothing.
            steps=keep_steps(given, source=source),
        )
        put = partial(self._store.written.put_reading, reading)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(put)
        return reading

    async def _recall(self, key: str) -> WrittenReading | None:
        writer = self._author.writer
        find = partial(self._store.written.find_reading, key, writer)
        return await anyio.to_thread.run_sync(find)

    def _remember(self, key: str, read: Read | None) -> None:
        self._known[key] = read
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _wish(text: str) -> _Wish | None:
    """Say what a reading would be good for: another language, or a task that may have steps."""
    from toolcrib_embeddings.encoding.scripts import language_of  # noqa: PLC0415  # the same
    from toolcrib_embeddings.queries.steps import split_steps  # noqa: PLC0415  # slow to import

    if language_of(text) is not None:
        return _Wish(translated=True)
    is_long = len(text.split()) > _LONG_WORDS
    return _Wish(translated=False) if is_long or split_steps(text) else None


def _read(kept: WrittenReading) -> Read | None:
    if kept.english is None and not kept.steps:
        return None
    return Read(kept.writer.rpartition("/")[0], kept.english, kept.steps)
