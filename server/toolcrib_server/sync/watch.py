"""When to sync: at start, at an interval with jitter, and when a server says its list changed."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import ServerName

from .reconcile import Reconciler

logger = logging.getLogger(__name__)

_JITTER = 0.2
"""Pollers must spread their requests (specification 2026-07-28, caching)."""
_SETTLE_S = 0.05
"""A server that changes ten tools says so ten times: wait until it has finished."""


class Watcher:
    """Runs syncs while serving. `notice` may be called from anywhere in the event loop."""

    def __init__(self, reconciler: Reconciler, *, interval_s: float) -> None:
        self._reconciler = reconciler
        self._interval_s = interval_s
        self._noticed: set[ServerName] = set()
        self._wake = anyio.Event()

    def notice(self, name: ServerName) -> None:
        """Remember that a server said its list changed."""
        self._noticed.add(name)
        self._wake.set()

    async def run(self) -> None:
        """Sync everything now and at each interval, and noticed servers at once. Never returns."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._poll)
            tasks.start_soon(self._follow_notices, tasks)

    async def _poll(self) -> None:
        while True:
            await self._sync(None)
            if not self._interval_s:
                return
            spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # not a secret
            await anyio.sleep(self._interval_s * spread)

    async def _follow_notices(self, tasks: TaskGroup) -> None:
        while True:
            await self._wake.wait()
            await anyio.sleep(_SETTLE_S)
            self._wake = anyio.Event()
            names, self._noticed = sorted(self._noticed), set()
            for name in names:
                # Apart: one may be slow, and one may have been removed meanwhile.
                tasks.start_soon(self._sync, [name])

    async def _sync(self, names: Sequence[ServerName] | None) -> None:
        try:
            reports = await self._reconciler.sync(names)
        except ToolcribError as error:
            logger.warning("Sync failed: %s", error)
            return
        for report in reports:
            if report.error:
                logger.warning("Sync of %s failed: %s", report.server, report.error)
