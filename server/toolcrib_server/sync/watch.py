"""Syncs while serving: each server when it is due, and at once when it says that its list changed.

What is due comes from the agenda, which knows no clock; what was found goes back to it. Other
processes are seen through the store, where each sync leaves when the next is due.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import ServerName

from .reconcile import Reconciler
from .report import SyncReport
from .schedule import Agenda

logger = logging.getLogger(__name__)

_REFRESH_S = 30.0
"""How soon a server that another process registered, or synced, is taken note of."""
_TRY_AGAIN_S = 5.0
"""After a sync that another process was at, or that the database kept from being written."""


class Watcher:
    """Runs syncs while serving. `notice` may be called from anywhere in the event loop."""

    def __init__(
        self,
        reconciler: Reconciler,
        *,
        refresh_s: float = _REFRESH_S,
    ) -> None:
        self._reconciler = reconciler
        self._agenda = Agenda()
        self._refresh_s = refresh_s
        self._failing: set[ServerName] = set()
        self._wake = anyio.Event()
        self._only: Collection[ServerName] | None = None

    def keep_to(self, names: Collection[ServerName]) -> None:
        """Sync these servers and no others: those are for other processes. To be said first."""
        self._only = frozenset(names)

    def notice(self, name: ServerName) -> None:
        """Remember that a server said its list changed."""
        if not self._is_ours(name):
            return
        self._agenda.notice(name, now_s=anyio.current_time())
        self._wake.set()

    async def run(self) -> None:
        """Sync everything now, and then each server when it is due. Never returns."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._refresh)
            while True:
                due = self._agenda.take_due(now_s=anyio.current_time())
                if due:
                    tasks.start_soon(self._sync, due)
                await self._wait()

    def _is_ours(self, name: ServerName) -> bool:
        return self._only is None or name in self._only

    async def _wait(self) -> None:
        next_s = self._agenda.next_due_s()
        wait_s = None if next_s is None else max(0.0, next_s - anyio.current_time())
        with anyio.move_on_after(wait_s):
            await self._wake.wait()
        self._wake = anyio.Event()

    async def _refresh(self) -> None:
        """Learn from the store which servers there are, and when each is due."""
        first = True
        while True:
            try:
                plans = await anyio.to_thread.run_sync(self._reconciler.read_plans)
            except ToolcribError as error:
                logger.warning("The servers to sync could not be read: %s", error)
            else:
                now_s = anyio.current_time()
                planned = {name: at for name, at in plans.items() if self._is_ours(name)}
                for name, at in planned.items():
                    # What changed while nobody listened is not known: at the start all are due.
                    is_new = first or name not in self._agenda
                    due_s = now_s if is_new else _due_s(at, now_s)
                    self._agenda.plan(name, due_s=due_s, now_s=now_s)
                self._agenda.keep(planned)
                self._wake.set()
                first = False
            await anyio.sleep(self._refresh_s)

    async def _sync(self, names: Sequence[ServerName]) -> None:
        unfinished = set(names)

        def note(report: SyncReport) -> None:
            unfinished.discard(report.server)
            self._finish(report)

        again_s: float | None = None
        try:
            await self._reconciler.sweep(names, on_report=note)
        except ToolcribError as error:
            logger.warning("Sync failed: %s", error)
            again_s = anyio.current_time() + _TRY_AGAIN_S
        # Without a report: removed or turned off meanwhile, or the database failed.
        for name in unfinished:
            self._agenda.finish(name, due_s=again_s, now_s=anyio.current_time())
        self._wake.set()

    def _finish(self, report: SyncReport) -> None:
        now_s = anyio.current_time()
        if report.skipped:
            logger.info("%s", report.error)
            due_s: float | None = now_s + _TRY_AGAIN_S
        else:
            due_s = _due_s(report.next_attempt_at, now_s)
            self._tell(report)
        self._agenda.finish(report.server, due_s=due_s, now_s=now_s)
        self._wake.set()

    def _tell(self, report: SyncReport) -> None:
        """Log what became of a server; that one is still down is no news."""
        if report.error and report.server not in self._failing:
            logger.warning("Sync of %s failed: %s", report.server, report.error)
            self._failing.add(report.server)
        elif not report.error and report.server in self._failing:
            logger.info("Sync of %s succeeds again", report.server)
            self._failing.discard(report.server)


def _due_s(at: datetime | None, now_s: float) -> float | None:
    """Turn a time of day into one of the event loop's clock."""
    return None if at is None else now_s + (at - datetime.now(UTC)).total_seconds()
