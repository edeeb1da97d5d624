"""Keeps figures up with the audit records, so that each process knows what the others measured.

Reads ids first: of this process's own calls, which are known already, nothing else is read.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind
from toolcrib_server.selection.measured import Measurements

from .rolling import RollingFigures

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 15.0
_FIRST: Final = 5_000
_MOST: Final = 20_000
"""Records that are looked at: the latest at first, then those of an interval."""
_OVERLAP_S: Final = 120.0
"""Records come late, and clocks differ: so far back is looked each time."""


class FiguresFeed:
    """Figures of all processes that share a store."""

    def __init__(self, store: Store, figures: RollingFigures | None = None) -> None:
        self.figures = figures or RollingFigures()
        self._store = store
        self._has_read = False
        self._reading = anyio.Lock()

    def current(self) -> Measurements:
        """Give the figures as they are now; cheap, from any thread."""
        return self.figures.current()

    async def ready(self) -> None:
        """Have the records been read once."""
        if not self._has_read:
            await self.look()

    async def look(self) -> None:
        """Take up what other processes measured since; where that fails, what is known stays."""
        async with self._reading:
            try:
                await anyio.to_thread.run_sync(self._look)
            except StoreError as error:
                logger.warning("Figures of models are not renewed: %s", error)
            self._has_read = True

    async def run(self, *, interval_s: float = INTERVAL_S) -> None:
        """Look at each interval. Never returns."""
        while True:
            await self.look()
            await anyio.sleep(interval_s)

    def _look(self) -> None:
        latest = self.figures.latest
        if latest is None:
            self.figures.recall(self._store.list_calls(kind=EntryKind.MODEL, limit=_FIRST))
            return
        # Where the clock was set back, what is measured now is older than what was.
        since = min(latest, datetime.now(UTC)) - timedelta(seconds=_OVERLAP_S)
        ids = self._store.list_call_ids(kind=EntryKind.MODEL, since=since, limit=_MOST)
        if fresh := self.figures.unknown(ids):
            self.figures.recall(self._store.get_calls(fresh))
