"""How often something may be done in an hour, by all processes of a registry together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread

from toolcrib_registry.store import Store


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Pace:
    """A limit by a name, under which the registry counts what was done in the last hour."""

    def __init__(
        self, store: Store, name: str, per_hour: int, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.per_hour = per_hour
        self._store = store
        self._name = name
        self._now = now

    async def take(self) -> bool:
        """Count one, if it may be done.

        Raises:
            StoreError: Nobody can tell.
        """
        take = partial(self._store.paces.take, self._name, per_hour=self.per_hour, now=self._now())
        return (await anyio.to_thread.run_sync(take)).granted

    async def waits_s(self) -> float:
        """Say how long until one more may be done; 0 where it may be done now.

        Raises:
            StoreError: Nobody can tell.
        """
        look = partial(self._store.paces.look, self._name, per_hour=self.per_hour, now=self._now())
        return (await anyio.to_thread.run_sync(look)).waits_s
