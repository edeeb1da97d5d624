"""Which offers to leave alone for now: cooldowns after failures, and one probe when they end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from toolcrib_registry.errors import (
    CredentialsRefused,
    RateLimited,
    RequestRefused,
    ToolcribError,
    UpstreamError,
    UpstreamUnavailable,
)

_TRIPS_AFTER = 3
_FIRST_S = 5.0
_LONGEST_S = 300.0
_LONGEST_ASKED_S = 3_600.0
_BAD_KEY_S = 60.0
_PROBE_S = 1.0


@dataclass(slots=True)
class _Line:
    failures: int = 0
    opens_at: float = 0.0
    probing_until: float = 0.0
    error: UpstreamError | None = None


class Breakers:
    """One breaker for each offer, in memory. ``now`` is a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lines: dict[str, _Line] = {}

    def waits_s(self, key: str) -> float:
        """Say for how long an offer is to be left alone; 0 when it may be tried."""
        line = self._lines.get(key)
        if line is None or not line.opens_at:
            return 0.0
        return max(line.opens_at - self._now(), line.probing_until - self._now(), 0.0)

    def begin(self, key: str) -> None:
        """Take note of a try; after a cooldown others wait for how the first one ends."""
        line = self._lines.get(key)
        if line is not None and line.opens_at:
            line.probing_until = self._now() + _PROBE_S

    def succeed(self, key: str) -> None:
        """Take note of an answer: all is well again."""
        self._lines.pop(key, None)

    def fail(self, key: str, error: ToolcribError) -> None:
        """Take note of a failure. A request that was refused is no fault of the offer."""
        if isinstance(error, RequestRefused) or not isinstance(error, UpstreamError):
            return
        line = self._lines.setdefault(key, _Line())
        line.failures += 1
        line.error = error
        line.probing_until = 0.0
        pause_s = _pause_s(error, line.failures)
        if pause_s:
            line.opens_at = self._now() + pause_s

    def refusal(self, key: str) -> UpstreamError:
        """Say why an offer is left alone, and for how long."""
        line, wait_s = self._lines[key], self.waits_s(key)
        error = line.error
        provider = error.server if error else key
        if isinstance(error, RateLimited):
            return RateLimited(provider, "it asked to wait", retry_after_s=wait_s)
        reason = f"it failed {line.failures} times in a row, at last so: {error}".rstrip(".")
        return UpstreamUnavailable(provider, reason, retry_after_s=wait_s)


def _pause_s(error: UpstreamError, failures: int) -> float:
    asked_s = getattr(error, "retry_after_s", None)
    if isinstance(asked_s, float | int) and asked_s > 0:
        return min(asked_s, _LONGEST_ASKED_S)
    if isinstance(error, CredentialsRefused):
        return _BAD_KEY_S
    over = failures - (1 if isinstance(error, RateLimited) else _TRIPS_AFTER)
    return min(_FIRST_S * 2.0**over, _LONGEST_S) if over >= 0 else 0.0
