"""Makes the registry say what upstream servers say: lease, list, compare, write once, index.

Level-triggered and idempotent: each sync compares all that a server lists with all that is stored,
so that it converges from wherever a crash left things. A server that cannot be reached keeps its
last good entries; it never empties the catalogue. One server's trouble delays nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import anyio.to_thread

from toolcrib_registry.store import Store
from toolcrib_registry.types import Server, ServerName

from .asking import CONFIRM_AFTER_S, Asker, Lister
from .checkpoints import Checkpoint, checkpoint_from_environment
from .embedder import Progress
from .indexer import Indexer
from .leases import LEASE_S, Leases
from .meter import SyncMeter
from .report import SyncReport
from .schedule import Cadence
from .sweep import Parts, Sweep, Wish
from .writer import Review, Writer, approve_everything

__all__ = ["POLLER", "Lister", "Reconciler", "SyncReport"]

POLLER = "sync"
"""The actor of syncs that happen by themselves."""


class Reconciler:
    """Syncs servers: any number at once, each at most once at a time, in one process only."""

    def __init__(
        self,
        store: Store,
        lister: Lister,
        indexer: Indexer,
        *,
        concurrency: int = 8,
        review: Review = approve_everything,
        cadence: Cadence | None = None,
        lease_s: float = LEASE_S,
        holder: str = "",
        confirm_after_s: float = CONFIRM_AFTER_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        checkpoint: Checkpoint | None = None,
    ) -> None:
        checkpoint = checkpoint or checkpoint_from_environment()
        self._store = store
        self._leases = Leases(store, checkpoint=checkpoint, ttl_s=lease_s, holder=holder)
        asker = Asker(
            lister,
            store,
            concurrency=concurrency,
            confirm_after_s=confirm_after_s,
            checkpoint=checkpoint,
        )
        writer = Writer(
            store,
            indexer.embedder,
            review=review,
            cadence=cadence or Cadence(),
            checkpoint=checkpoint,
            now=now,
        )
        self._parts = Parts(store, self._leases, asker, writer, indexer, concurrency)
        self.meter = SyncMeter()

    @property
    def running(self) -> Collection[ServerName]:
        """The servers that are being synced by this process now."""
        return self._leases.running

    async def sync(
        self,
        names: Sequence[ServerName] | None = None,
        *,
        actor: str = POLLER,
        on_report: Callable[[SyncReport], None] | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[SyncReport, ...]:
        """Sync the named servers, or every enabled one, and bring the index to the same revision.

        Reports come in the order of the names; ``on_report`` sees each as it is made. A server that
        another process holds is waited for when a person asked, and skipped otherwise. The sync of
        a server that is removed meanwhile has no report.

        Raises:
            NotFound: A name is not registered.
            StoreError: The database failed.
        """
        wanted, others = await anyio.to_thread.run_sync(self._wanted, names)
        reports: dict[ServerName, SyncReport] = {}

        def note(report: SyncReport) -> None:
            reports[report.server] = report
            if on_report:
                on_report(report)

        for server in others:
            note(SyncReport(server=server.name, status=server.health.status))
        await self.sweep(wanted, actor=actor, on_report=note, on_progress=on_progress)
        return tuple(reports[name] for name in names or wanted if name in reports)

    async def sweep(
        self,
        names: Sequence[ServerName],
        *,
        on_report: Callable[[SyncReport], None],
        actor: str = POLLER,
        on_progress: Progress | None = None,
    ) -> None:
        """Sync those of these servers that there are; without a report, there is none.

        Raises:
            StoreError: The database failed.
        """

        def note(report: SyncReport) -> None:
            self.meter.count(report.totals)
            on_report(report)

        wish = Wish(actor=actor, insist=actor != POLLER, on_report=note, on_progress=on_progress)
        if names:
            await Sweep(self._parts, wish).run(names)

    async def let_go(self) -> None:
        """Leave the servers that are being synced here to other processes: this one ends."""
        await self._parts.leases.release_all()

    def read_plans(self) -> dict[ServerName, datetime | None]:
        """Read which servers are to be kept in step, and when each is due. Blocks."""
        return self._store.sync_plans()

    def _wanted(
        self, names: Sequence[ServerName] | None
    ) -> tuple[tuple[ServerName, ...], tuple[Server, ...]]:
        """Tell which servers to sync, and which of those named are catalogues."""
        if names is None:
            return tuple(self._store.sync_plans()), ()
        servers = [self._store.get_server(name) for name in dict.fromkeys(names)]
        live = tuple(server.name for server in servers if server.callable)
        return live, tuple(server for server in servers if not server.callable)
