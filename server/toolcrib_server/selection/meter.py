"""What searches came to in this process, and how long they took: sums for monitors.

Knows no query: nothing of what was asked is kept.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the buckets; slower ones have a bucket of their own."""


class SearchOutcome(StrEnum):
    """What came of a search."""

    ANSWERED = "answered"
    NOTHING_FITS = "nothing-fits"
    """The nearest were shown, and said to be unlikely; or there was nothing."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SearchTotals:
    """Sums since the start. ``buckets`` counts by `BOUNDS_S`, the last one what was slower."""

    by_outcome: dict[SearchOutcome, int]
    lexical_only: int
    buckets: tuple[int, ...]
    seconds: float


@dataclass(slots=True)
class SearchMeter:
    """Counts searches. Safe to share between threads."""

    _by_outcome: Counter[SearchOutcome] = field(default_factory=Counter[SearchOutcome])
    _buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    _seconds: float = 0.0
    _lexical_only: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(
        self, outcome: SearchOutcome, *, duration_s: float, lexical_only: bool = False
    ) -> None:
        """Add one search."""
        with self._lock:
            self._by_outcome[outcome] += 1
            self._buckets[bisect_left(BOUNDS_S, duration_s)] += 1
            self._seconds += duration_s
            self._lexical_only += lexical_only

    @property
    def totals(self) -> SearchTotals:
        """What has been counted."""
        with self._lock:
            by_outcome = {outcome: self._by_outcome[outcome] for outcome in SearchOutcome}
            return SearchTotals(by_outcome, self._lexical_only, tuple(self._buckets), self._seconds)
