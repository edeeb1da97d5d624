"""Which servers this process works on: one at a time each, and no other process at the same time.

A lease in the store keeps other processes out until it expires; inside one process syncs of the
same server take turns. Losing a lease is noticed when writing: every write is fenced by it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Lease, ServerName

from .checkpoints import Checkpoint

LEASE_S = 15.0
"""How long after a crash its servers stay locked; a process that lives renews in time."""
_RENEWALS = 3
_RELEASE_S = 5.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of asking for leases: got, at work in this process, or held by another."""

    leases: dict[ServerName, Lease]
    busy: tuple[ServerName, ...]
    elsewhere: tuple[ServerName, ...]


class Leases:
    """Takes, renews and releases. The event loop owns it; the store's part is done in threads."""

    def __init__(
        self, store: Store, *, checkpoint: Checkpoint, ttl_s: float = LEASE_S, holder: str = ""
    ) -> None:
        self._store = store
        self._checkpoint = checkpoint
        self.ttl_s = ttl_s
        self._holder = holder or name_this_process()
        self._held: dict[ServerName, Lease] = {}
        self._freed: dict[ServerName, anyio.Event] = {}

    @property
    def running(self) -> Collection[ServerName]:
        """The servers that this process works on now."""
        return self._freed.keys()

    def find(self, name: ServerName) -> Lease | None:
        """Find the lease of a server as it was last renewed; None when it is lost."""
        return self._held.get(name)

    async def take(self, names: Sequence[ServerName]) -> Taken:
        """Take what is free, in one transaction."""
        busy = tuple(name for name in names if name in self._freed)
        free = [name for name in dict.fromkeys(names) if name not in self._freed]
        for name in free:
            self._freed[name] = anyio.Event()
        taken: dict[ServerName, Lease] = {}
        try:
            if free:
                taken = await anyio.to_thread.run_sync(self._acquire, free)
        finally:
            for name in free:
                if name not in taken:
                    self._free(name)
        self._held |= taken
        if taken:
            self._checkpoint("lease-taken")
        return Taken(taken, busy, tuple(name for name in free if name not in taken))

    async def wait_free(self, name: ServerName) -> None:
        """Wait until no sync of this process works on a server."""
        while name in self._freed:
            await self._freed[name].wait()

    async def renew(self, names: Collection[ServerName]) -> None:
        """Renew those of these leases that are held; forget those that another has taken over."""
        leases = [self._held[name] for name in names if name in self._held]
        if not leases:
            return
        kept = await anyio.to_thread.run_sync(self._renew, leases)
        for lease in leases:
            if lease.server not in kept:
                self._held.pop(lease.server, None)
            elif lease.server in self._held:
                self._held[lease.server] = kept[lease.server]

    async def renew_in_time(self, names: Collection[ServerName]) -> None:
        """Renew again and again what ``names``, which may change, holds. Never returns."""
        while True:
            await anyio.sleep(self.ttl_s / _RENEWALS)
            await self.renew(tuple(names))

    async def release(self, names: Collection[ServerName]) -> None:
        """Let others have these servers, even while this task is being cancelled."""
        leases = [lease for name in names if (lease := self._held.pop(name, None)) is not None]
        try:
            if leases:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_RELEASE_S):
                    await anyio.to_thread.run_sync(self._store.release_leases, leases)
                self._checkpoint("released")
        finally:
            for name in names:
                self._free(name)

    async def release_all(self) -> None:
        """Let others have every server, where this process ends in the midst of a sync."""
        await self.release(tuple(self._held))

    def _free(self, name: ServerName) -> None:
        freed = self._freed.pop(name, None)
        if freed is not None:
            freed.set()

    def _acquire(self, names: Sequence[ServerName]) -> dict[ServerName, Lease]:
        return self._store.acquire_leases(names, holder=self._holder, ttl_s=self.ttl_s)

    def _renew(self, leases: Sequence[Lease]) -> dict[ServerName, Lease]:
        return self._store.renew_leases(leases, ttl_s=self.ttl_s)


def name_this_process() -> str:
    """Make a name that no other process has: host, process, and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
