"""Records calls without making them wait: buffered here, written in batches."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import anyio
import anyio.to_thread

from toolcrib_registry.errors import StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord

logger = logging.getLogger(__name__)

_CAPACITY = 10_000
"""Records kept while the database cannot be written; the oldest go first, and the log says so."""


def _ignore(_: CallRecord) -> None:
    """Tell nobody."""


class AuditLog:
    """A buffer in front of the store's call records."""

    def __init__(self, store: Store, *, on_call: Callable[[CallRecord], None] = _ignore) -> None:
        """Tell ``on_call`` of each record as it comes; it must return at once."""
        self._store = store
        self._on_call = on_call
        self._writing = anyio.Lock()
        self._pending: deque[CallRecord] = deque()
        self._lost = 0

    def add(self, record: CallRecord) -> None:
        """Remember one call; returns at once."""
        self._on_call(record)
        if len(self._pending) == _CAPACITY:
            self._pending.popleft()
            self._lost += 1
        self._pending.append(record)

    async def run(self, *, interval_s: float = 1.0) -> None:
        """Write what is pending at each interval. Never returns."""
        while True:
            await anyio.sleep(interval_s)
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending. A failed write keeps it for the next try."""
        # Whoever ends the process may come in the midst of a write: it is written once.
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        if not self._pending:
            return
        batch = tuple(self._pending)
        try:
            await anyio.to_thread.run_sync(self._store.record_calls, batch)
        except StoreError as error:
            logger.warning("%d call records wait for the database: %s", len(batch), error)
            return
        for _ in batch:
            self._pending.popleft()
        if self._lost:
            logger.error("%d call records were lost while it could not be written", self._lost)
            self._lost = 0
