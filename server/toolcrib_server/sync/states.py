"""How each server's sync stands, as people and monitors read it: pure, from a server and the time.

Knows no connection and no database. What one process has under way it is told; what another has
under way shows in the stored health once it is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from toolcrib_registry.types import Server, ServerName, ServerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """One server's sync: how old what we hold is, what went wrong last, what comes next."""

    server: ServerName
    status: ServerStatus
    enabled: bool
    stale: bool
    """Its last good entries are kept although it could not be reached since."""
    lag_s: float | None
    """Seconds since the registry last said what the server said; None before the first sync."""
    in_progress: bool
    failures: int
    """Attempts that failed in a row."""
    error: str | None
    attempted_at: datetime | None
    synced_at: datetime | None
    changed_at: datetime | None
    """When a sync last changed something."""
    fresh_until: datetime | None
    """Until when the server vouches for what it listed."""
    next_attempt_at: datetime | None
    """None: as soon as there is room, or never while it is off."""
    duration_ms: float | None
    """How long the last attempt took."""


def sync_state(server: Server, *, now: datetime, in_progress: bool = False) -> SyncState:
    """Tell how one server's sync stands at the time ``now``."""
    health = server.health
    lag = None if health.synced_at is None else (now - health.synced_at).total_seconds()
    return SyncState(
        server=server.name,
        status=health.status,
        enabled=server.enabled,
        stale=health.status is ServerStatus.UNREACHABLE and health.synced_at is not None,
        lag_s=None if lag is None else max(0.0, lag),
        in_progress=in_progress,
        failures=health.failures,
        error=health.error,
        attempted_at=health.attempted_at,
        synced_at=health.synced_at,
        changed_at=health.changed_at,
        fresh_until=health.fresh_until,
        next_attempt_at=health.next_attempt_at if server.enabled else None,
        duration_ms=health.duration_ms,
    )


def sync_states(
    servers: Iterable[Server], *, now: datetime, running: Collection[ServerName] = ()
) -> tuple[SyncState, ...]:
    """Tell how every live server's sync stands; catalogues have none. ``running`` sync now."""
    return tuple(
        sync_state(server, now=now, in_progress=server.name in running)
        for server in servers
        if server.callable
    )
