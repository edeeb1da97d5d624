"""Latencies in buckets that grow with what they hold: any number of them, three digits each.

As HdrHistogram does it: within a power of two the buckets are equal, so that the error is below
0.1 % of the value, and the memory does not grow with the count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

_STEPS = 1024
"""Buckets in a power of two."""
_UNIT_MS = 0.001
"""What is below this is nothing."""


class Histogram:
    """Counts of latencies in milliseconds."""

    def __init__(self, values_ms: Iterable[float] = ()) -> None:
        """Begin with some, or none."""
        self._counts: Counter[int] = Counter()
        self._most = 0.0
        for value in values_ms:
            self.add(value)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._counts.total()

    def add(self, value_ms: float) -> None:
        """Count one."""
        self._counts[_bucket(value_ms)] += 1
        self._most = max(self._most, value_ms)

    def merge(self, other: Histogram) -> None:
        """Count those of another."""
        self._counts += other._counts
        self._most = max(self._most, other._most)

    def percentile(self, percent: float) -> float:
        """Return the value that so many percent do not pass, in milliseconds; 0 when empty."""
        wanted = len(self) * percent / 100
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(_top_ms(bucket), self._most)
        return 0.0

    def summary(self) -> dict[str, float]:
        """Return the usual percentiles, in milliseconds."""
        named = {"p50": 50, "p90": 90, "p99": 99, "p99_9": 99.9}
        figures = {f"{name}_ms": round(self.percentile(at), 2) for name, at in named.items()}
        return {**figures, "max_ms": round(self._most, 2)}


def _bucket(value_ms: float) -> int:
    units = max(1, int(value_ms / _UNIT_MS))
    power = max(0, units.bit_length() - _STEPS.bit_length())
    return power * _STEPS + (units >> power)


def _top_ms(bucket: int) -> float:
    power, units = divmod(bucket, _STEPS)
    if power:
        # Above the first, the numbers of a power of two fill the upper half of the steps.
        power, units = power - 1, units + _STEPS
    return ((units + 1) << power) * _UNIT_MS
