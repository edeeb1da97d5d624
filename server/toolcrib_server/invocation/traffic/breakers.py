"""Whom to leave alone for now: pauses after failures, and one probe when they end.

What failed is told apart: that nobody can connect to a server is proof enough that it is down; that
a request has no answer is proof of that request alone, until others go without one too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from toolcrib_registry.errors import (
    CredentialsRefused,
    Fault,
    Peer,
    RateLimited,
    RequestRefused,
    ToolcribError,
    UpstreamError,
    UpstreamUnavailable,
)
from toolcrib_server.upstream.pool.translation import reason_of

_SOON_S = 0.5
"""When to ask again while a probe is under way: it may be over at any moment."""
_BAD_KEY_S = 60.0
_MOST_WITNESSES = 64
"""By then the pause is as long as it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """When a breaker opens, and for how long."""

    trips_after: int = 3
    """Failures in a row; of servers, of so many different witnesses without an answer between."""
    first_s: float = 5.0
    """The first pause; each further failure doubles it."""
    longest_s: float = 300.0
    longest_asked_s: float = 3_600.0
    """However long it asks to wait."""
    heeds_one: bool = True
    """Whether what one answer asks to wait holds for everybody at once."""
    probe_s: float = 1.0
    """How long one try, after a pause, keeps others waiting for how it ends."""


OF_OFFERS = Pauses()
OF_SERVERS = Pauses(
    first_s=0.25, longest_s=30.0, longest_asked_s=60.0, heeds_one=False, probe_s=5.0
)
"""A server is a process that somebody restarts; it is looked at again sooner, and what it answers
to one call of one client is not for the others."""


class BreakerState(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    """All may try."""
    OPEN = "open"
    """Nobody may, for now."""
    HALF_OPEN = "half-open"
    """One may, and others after it has been answered."""


@dataclass(slots=True)
class _Line:
    failures: int = 0
    witnesses: set[str] = field(default_factory=set[str])
    """Whose requests had no answer; each counts once."""
    opened: int = 0
    """Which opening of all was its last; a try that began before it tells nothing new."""
    opens_at: float = 0.0
    probing_until: float = 0.0
    error: UpstreamError | None = None


class Breakers:
    """One breaker for each offer, or server, in memory. ``now`` is a clock, in seconds."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, *, pauses: Pauses = OF_OFFERS
    ) -> None:
        self._now = now
        self._pauses = pauses
        self._lines: dict[str, _Line] = {}
        self._openings = 0

    def waits_s(self, key: str) -> float:
        """Say for how long it is to be left alone; 0 when it may be tried."""
        line = self._lines.get(key)
        if line is None or not line.opens_at:
            return 0.0
        return max(line.opens_at - self._now(), line.probing_until - self._now(), 0.0)

    def begin(self, key: str) -> int:
        """Take note of a try; after a pause others wait for how the first one ends.

        Returns what tells a later failure whether it is news.
        """
        line = self._lines.get(key)
        if line is not None and line.opens_at:
            line.probing_until = self._now() + self._pauses.probe_s
        return self._openings

    def succeed(self, key: str) -> None:
        """Take note of an answer: all is well again."""
        self._lines.pop(key, None)

    def fail(
        self,
        key: str,
        error: ToolcribError,
        *,
        began: int | None = None,
        witness: str | None = None,
    ) -> None:
        """Take note of a failure. A request that was refused is no fault of who was asked.

        ``began`` is what `begin` returned: many tries that fail together open it once. ``witness``
        names what failed, and for whom: the same once more is no further failure.
        """
        if isinstance(error, RequestRefused) or not isinstance(error, UpstreamError):
            return
        line = self._lines.setdefault(key, _Line())
        if began is not None and began < line.opened:
            return
        if witness is None or error.fault is Fault.SERVER or witness not in line.witnesses:
            line.failures += 1
        if witness is not None and len(line.witnesses) < _MOST_WITNESSES:
            line.witnesses.add(witness)
        line.error = error
        line.probing_until = 0.0
        pause_s = self._pause_s(error, line.failures)
        if pause_s:
            self._openings += 1
            line.opened = self._openings
            line.opens_at = self._now() + pause_s

    def leave(self, key: str, *, began: int) -> None:
        """Take note of a try that was given up, and tells nothing: another may be made."""
        line = self._lines.get(key)
        if line is not None and began >= line.opened:
            line.probing_until = 0.0

    def forgive(self, key: str) -> None:
        """Forget all failures: it is not what it was."""
        self._lines.pop(key, None)

    def state(self, key: str) -> BreakerState:
        """Say how it stands."""
        line = self._lines.get(key)
        if line is None or not line.opens_at:
            return BreakerState.CLOSED
        return BreakerState.OPEN if line.opens_at > self._now() else BreakerState.HALF_OPEN

    def states(self) -> dict[str, BreakerState]:
        """Say how those stand that are not closed."""
        told = {key: self.state(key) for key in self._lines}
        return {key: state for key, state in told.items() if state is not BreakerState.CLOSED}

    def refusal(self, key: str) -> UpstreamError:
        """Say why an offer is left alone, and for how long."""
        line, wait_s = self._lines[key], self.waits_s(key)
        error = line.error
        provider = error.server if error else key
        if isinstance(error, RateLimited):
            return RateLimited(provider, "it asked to wait", retry_after_s=wait_s)
        said = reason_of(error) if error else "it failed"
        again = f"it failed {line.failures} times in a row, at last so: "
        reason = said if line.failures == 1 else again + said
        if line.opens_at <= self._now():
            reason, wait_s = f"{reason}; it is being tried now", min(wait_s, _SOON_S)
        peer = error.peer if error else Peer.SERVER
        refusal = UpstreamUnavailable(provider, reason, retry_after_s=wait_s, peer=peer)
        refusal.is_unsent, refusal.fault = True, Fault.CONNECTION
        return refusal

    def _pause_s(self, error: UpstreamError, failures: int) -> float:
        of = self._pauses
        at_once = isinstance(error, RateLimited) or error.fault is Fault.SERVER
        over = failures - (1 if at_once else of.trips_after)
        asked_s = getattr(error, "retry_after_s", None)
        is_heard = of.heeds_one or over >= 0
        if isinstance(asked_s, float | int) and asked_s > 0 and is_heard:
            # Whoever keeps the connection says when it tries again: no pause of ours comes on top.
            return min(asked_s, of.longest_asked_s)
        if isinstance(error, CredentialsRefused):
            return _BAD_KEY_S
        return min(of.first_s * 2.0 ** min(over, 60), of.longest_s) if over >= 0 else 0.0
