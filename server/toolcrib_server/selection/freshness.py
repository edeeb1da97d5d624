"""Which servers could not be reached lately, so that what is shown of their entries says so.

Read from the store at most every few seconds: how a server fares is no change of the registry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import anyio.to_thread

from toolcrib_registry.errors import StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, OwnedEntry, ServerName

_KEPT_S: Final = 5.0


class Freshness:
    """Remembers which servers are stale, and since when they were last heard."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stale: Mapping[ServerName, datetime] = {}
        self._read_s: float | None = None

    async def stale(self) -> Mapping[ServerName, datetime]:
        """Tell which servers cannot be reached, each with the time it was last heard.

        A server that was never reached has no entries, and is not among them.
        """
        now_s = time.monotonic()
        if self._read_s is None or now_s - self._read_s > _KEPT_S:
            self._read_s = now_s
            try:
                self._stale = await anyio.to_thread.run_sync(self._store.stale_servers)
            except StoreError:
                return self._stale
        return self._stale


def stale_since(entry: Entry, stale: Mapping[ServerName, datetime]) -> datetime | None:
    """Tell when the server of an entry was last heard, if it cannot be reached now."""
    return stale.get(entry.server) if isinstance(entry, OwnedEntry) else None


def stale_view(entry: Entry, stale: Mapping[ServerName, datetime]) -> dict[str, str]:
    """Render what there is to say of an entry whose server cannot be reached; else nothing."""
    since = stale_since(entry, stale)
    return {} if since is None else {"staleSince": since.isoformat()}


def say_stale(since: datetime, now: datetime) -> str:
    """Say, for people, that what is known of an entry may be old."""
    return f"server unreachable since {say_age(since, now)}"


def say_age(since: datetime, now: datetime) -> str:
    """Say how long ago something was, in the largest unit that fits."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
