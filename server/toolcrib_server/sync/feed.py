"""New changes as they commit, whoever commits them: the change log, read on and on.

Looks at the log's head and reads only when it moved, so that a reader who waits costs one small
query a turn. Knows no face.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from toolcrib_registry.errors import StoreBusy
from toolcrib_registry.store import Store
from toolcrib_registry.types import Change, Revision, ServerName

INTERVAL_S: Final = 0.25
_BATCH: Final = 200
_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Of definitions held for one reader, who may be slow to take them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which changes a reader wants; None is all."""

    server: ServerName | None = None
    subject: str | None = None


EVERY_CHANGE: Final = Wanted()


class Feed:
    """One reader's place in the change log."""

    def __init__(self, store: Store, *, since: Revision, wanted: Wanted = EVERY_CHANGE) -> None:
        self._store = store
        self._wanted = wanted
        self.since = since
        """The revision up to which everything wanted was given."""

    async def read(self) -> tuple[Change, ...]:
        """Read what is new, oldest first, a stretch at a time; nothing while the log is busy."""
        try:
            return await anyio.to_thread.run_sync(self._read)
        except StoreBusy:
            return ()

    async def follow(self, *, interval_s: float = INTERVAL_S) -> AsyncIterator[tuple[Change, ...]]:
        """Give what is new at each turn, and an empty tuple when nothing is. Never ends."""
        while True:
            changes = await self.read()
            yield changes
            if not changes:
                await anyio.sleep(interval_s)

    def _read(self) -> tuple[Change, ...]:
        head = self._store.head()
        if head <= self.since:
            # A registry that was put back from a backup is followed from where it is now.
            self.since = head
            return ()
        wanted = self._wanted
        read = partial(
            self._store.list_changes,
            server=wanted.server,
            subject=wanted.subject,
            most_bytes=_BATCH_BYTES,
        )
        changes = read(since=self.since, limit=_BATCH)
        last = changes[-1].revision if changes else head
        # Once nothing is left that was wanted, the rest of the log is not looked through again.
        self.since = last if last >= head or read(since=last, limit=1) else head
        return changes
