"""What came of asking one server, and what is known of its health after that: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from toolcrib_registry.types import Lease, Malformed, Server, ServerHealth, ServerStatus
from toolcrib_server.upstream.lists.listing import Listing

from .schedule import Cadence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking one server: its listing, or why there is none."""

    server: Server
    lease: Lease
    listing: Listing | None = None
    error: str | None = None
    retry_after_s: float | None = None
    duration_s: float = 0.0

    @property
    def is_news(self) -> bool:
        """Whether there is anything to compare."""
        return self.listing is not None and not self.listing.unchanged


def health_after(
    answer: Answer,
    *,
    changed: bool,
    collisions: Sequence[Malformed],
    cadence: Cadence,
    now: datetime,
) -> ServerHealth:
    """Tell what is known after an answer; ``collisions`` are listed objects of one name."""
    old, listing = answer.server.health, answer.listing
    if listing is None:
        return health_after_failure(answer, answer.error or "", cadence=cadence, now=now)
    told = old if listing.unchanged else _told(old, listing, collisions)
    return replace(
        told,
        status=ServerStatus.DEGRADED if told.malformed else ServerStatus.READY,
        attempted_at=now,
        synced_at=now,
        error=None,
        failures=0,
        next_attempt_at=cadence.after_success(now, ttl_ms=listing.ttl_ms),
        fresh_until=cadence.fresh_until(now, ttl_ms=listing.ttl_ms),
        changed_at=now if changed else old.changed_at,
        duration_ms=round(1000 * answer.duration_s, 1),
    )


def health_after_failure(
    answer: Answer, error: str, *, cadence: Cadence, now: datetime
) -> ServerHealth:
    """Tell what is known after a failure: all that was, one failure more, and when to try again."""
    old = answer.server.health
    failures = old.failures + 1
    again_at = cadence.after_failure(now, failures=failures, retry_after_s=answer.retry_after_s)
    return replace(
        old,
        status=ServerStatus.UNREACHABLE,
        attempted_at=now,
        error=error,
        failures=failures,
        next_attempt_at=again_at,
        duration_ms=round(1000 * answer.duration_s, 1),
    )


def _told(old: ServerHealth, listing: Listing, collisions: Sequence[Malformed]) -> ServerHealth:
    return replace(
        old,
        protocol_version=listing.protocol_version,
        reported_name=listing.reported_name,
        reported_version=listing.reported_version,
        instructions=listing.instructions,
        capabilities=listing.capabilities,
        cache_scope=listing.cache_scope,
        listing_digest=listing.digest,
        malformed=(*listing.malformed, *collisions),
    )
