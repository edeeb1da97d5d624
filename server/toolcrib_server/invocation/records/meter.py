"""What calls came to in this process: sums for monitors. Knows outcomes and times, no arguments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from toolcrib_registry.types import CallRecord


@dataclass(slots=True)
class CallMeter:
    """Counts call records. The event loop owns it."""

    _by_outcome: Counter[str] = field(default_factory=Counter[str])
    _seconds: float = 0.0

    def count(self, record: CallRecord) -> None:
        """Add one call."""
        self._by_outcome[record.outcome] += 1
        self._seconds += record.duration_ms / 1e3

    @property
    def by_outcome(self) -> dict[str, int]:
        """How many calls came to ``ok``, ``tool-error`` or an error's code."""
        return dict(self._by_outcome)

    @property
    def seconds(self) -> float:
        """What they took, added up."""
        return self._seconds
