"""What syncing did in this process: totals for monitors, and how fast it went lately."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTotals:
    """Sums since the process started. ``seconds`` is what the syncs took, added up."""

    syncs: int = 0
    """Attempts that ended, whatever came of them; the next three are parts of it."""
    unchanged: int = 0
    failed: int = 0
    skipped: int = 0
    """Left to another process that held the server."""
    added: int = 0
    updated: int = 0
    removed: int = 0
    seconds: float = 0.0

    @property
    def changes(self) -> int:
        """Entries that were added, updated or removed."""
        return self.added + self.updated + self.removed

    def __add__(self, other: SyncTotals) -> SyncTotals:
        """Sum field by field."""
        return SyncTotals(
            syncs=self.syncs + other.syncs,
            unchanged=self.unchanged + other.unchanged,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            added=self.added + other.added,
            updated=self.updated + other.updated,
            removed=self.removed + other.removed,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRates:
    """How fast it went over the last minute (or since the start, when that is shorter)."""

    syncs_per_s: float = 0.0
    failures_per_s: float = 0.0
    changes_per_s: float = 0.0


class SyncMeter:
    """Counts what the reconciler reports. Not for several threads: the event loop owns it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_s = clock()
        self._recent: deque[tuple[float, SyncTotals]] = deque()
        self._totals = SyncTotals()

    @property
    def totals(self) -> SyncTotals:
        """What has been counted since the start."""
        return self._totals

    def count(self, done: SyncTotals) -> None:
        """Add what one sync did."""
        self._totals += done
        now = self._clock()
        # By the second: a thousand syncs a second must not be a thousand things to keep.
        if self._recent and int(self._recent[-1][0]) == int(now):
            at, sum_ = self._recent[-1]
            self._recent[-1] = (at, sum_ + done)
        else:
            self._recent.append((now, replace(done)))
        self._forget(now)

    def rates(self) -> SyncRates:
        """Tell how fast it goes now."""
        now = self._clock()
        self._forget(now)
        window_s = max(1.0, min(_WINDOW_S, now - self._started_s))
        recent = sum((done for _, done in self._recent), SyncTotals())
        return SyncRates(
            syncs_per_s=recent.syncs / window_s,
            failures_per_s=recent.failed / window_s,
            changes_per_s=recent.changes / window_s,
        )

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - _WINDOW_S:
            self._recent.popleft()
