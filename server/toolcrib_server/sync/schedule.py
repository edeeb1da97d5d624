"""When a server is synced next: pure rules over times, with no clock and no waiting of its own.

A success is followed by the polling interval, or by what the server's ``ttlMs`` says within bounds;
a failure by a pause that doubles. All of it is spread, as the specification demands of pollers.
Notices of a server are gathered: a burst is one sync, a server that never stops has its share.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from toolcrib_registry.types import ServerName

JITTER = 0.2
"""Pollers must spread their requests (specification 2026-07-28, caching)."""

Spread = Callable[[float, float], float]
"""Draws a number between two; `random.uniform` is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often to ask. An ``interval_s`` of 0 turns polling off, retries included."""

    interval_s: float = 300.0
    """After a success, of a server that says nothing about how long its lists stay true."""
    shortest_s: float = 60.0
    longest_s: float = 3600.0
    """However long a server vouches for its lists: the polling floor."""
    retry_s: float = 5.0
    """After the first failure; doubled with each further one."""
    longest_retry_s: float = 900.0
    spread: Spread = random.uniform

    def after_success(self, now: datetime, *, ttl_ms: int | None) -> datetime | None:
        """Tell when to ask again a server that has answered; None: not by polling."""
        if not self.interval_s:
            return None
        # 0 is no advice: "immediately stale" holds for a list that never changes, too.
        wait_s = ttl_ms / 1000 if ttl_ms else self.interval_s
        shortest_s = min(self.shortest_s, self.interval_s)
        wait_s = min(max(wait_s, shortest_s), max(self.longest_s, self.interval_s))
        return self._later(now, wait_s)

    def after_failure(
        self, now: datetime, *, failures: int, retry_after_s: float | None = None
    ) -> datetime | None:
        """Tell when to try again after so many failures in a row; None: not by polling."""
        if not self.interval_s:
            return None
        longest_s = max(self.longest_retry_s, self.retry_s)
        doubled_s = self.retry_s * 2 ** min(max(failures, 1) - 1, 20)
        return self._later(now, min(longest_s, max(doubled_s, retry_after_s or 0.0)))

    def fresh_until(self, now: datetime, *, ttl_ms: int | None) -> datetime | None:
        """Tell until when a server vouches for what it has listed; None when it does not say."""
        return None if ttl_ms is None else now + timedelta(milliseconds=ttl_ms)

    def _later(self, now: datetime, wait_s: float) -> datetime:
        return now + timedelta(seconds=wait_s * self.spread(1 - JITTER, 1 + JITTER))


@dataclass(slots=True)
class _Plan:
    """What is known of one server's turns. Times are of a monotonic clock, in seconds."""

    due_s: float | None = None
    noticed_s: float | None = None
    """When the first notice came that no sync has answered yet."""
    is_running: bool = False
    tokens: float = 0.0
    filled_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How notices are gathered, and how many of one server are followed."""

    settle_s: float = 0.05
    """A server that changes ten tools says so ten times: wait until it has finished."""
    longest_s: float = 0.5
    """One that does not finish is not waited for any longer."""
    burst: int = 60
    """Syncs by notice at any pace; beyond, `per_s` of them."""
    per_s: float = 2.0


@dataclass(slots=True)
class Agenda:
    """Which servers are due. Told of notices and of what became of each sync; asked what is due."""

    patience: Patience = field(default_factory=Patience)
    _plans: dict[ServerName, _Plan] = field(default_factory=dict[ServerName, _Plan])

    def plan(self, name: ServerName, *, due_s: float | None, now_s: float) -> None:
        """Set when a server is due by polling; a notice that waits stays."""
        plan = self._plan(name, now_s)
        if not plan.is_running and plan.noticed_s is None:
            plan.due_s = due_s

    def keep(self, names: Iterable[ServerName]) -> None:
        """Forget every server that is not among ``names``."""
        gone = self._plans.keys() - set(names)
        for name in gone:
            if not self._plans[name].is_running:
                del self._plans[name]

    def __contains__(self, name: ServerName) -> bool:
        return name in self._plans

    def notice(self, name: ServerName, *, now_s: float) -> None:
        """Remember that a server said its list changed."""
        plan = self._plan(name, now_s)
        first = plan.noticed_s is None
        if plan.noticed_s is None:
            plan.noticed_s = now_s
        if plan.is_running:
            return
        settled_s = min(now_s + self.patience.settle_s, plan.noticed_s + self.patience.longest_s)
        settled_s = max(settled_s, self._allowed_s(plan, now_s))
        # A sync that is due anyway answers the notice, unless it is later.
        plan.due_s = min(settled_s, plan.due_s) if first and plan.due_s is not None else settled_s

    def take_due(self, *, now_s: float) -> list[ServerName]:
        """Take the servers that are due, in order of name; they are running until `finish`."""
        due = sorted(
            name
            for name, plan in self._plans.items()
            if not plan.is_running and plan.due_s is not None and plan.due_s <= now_s
        )
        for name in due:
            plan = self._plans[name]
            if plan.noticed_s is not None:
                plan.tokens = self._tokens(plan, now_s) - 1
                plan.filled_s = now_s
            plan.is_running, plan.due_s, plan.noticed_s = True, None, None
        return due

    def finish(self, name: ServerName, *, due_s: float | None, now_s: float) -> None:
        """Say that a sync has ended, and when the next is due; notices since then come first."""
        plan = self._plan(name, now_s)
        noticed_s, plan.is_running, plan.noticed_s = plan.noticed_s, False, None
        plan.due_s = due_s
        if noticed_s is not None:
            plan.due_s = None
            self.notice(name, now_s=now_s)

    def next_due_s(self) -> float | None:
        """Tell when the next server is due; None when none is."""
        times = (plan.due_s for plan in self._plans.values() if not plan.is_running)
        return min((due_s for due_s in times if due_s is not None), default=None)

    def _plan(self, name: ServerName, now_s: float) -> _Plan:
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = _Plan(tokens=self.patience.burst, filled_s=now_s)
        return plan

    def _tokens(self, plan: _Plan, now_s: float) -> float:
        gained = (now_s - plan.filled_s) * self.patience.per_s
        return min(self.patience.burst, plan.tokens + gained)

    def _allowed_s(self, plan: _Plan, now_s: float) -> float:
        missing = 1 - self._tokens(plan, now_s)
        return now_s if missing <= 0 else now_s + missing / self.patience.per_s
