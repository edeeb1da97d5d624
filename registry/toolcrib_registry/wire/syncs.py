"""Syncs on the wire: what one did, and how each server's stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from toolcrib_registry.types import ServerStatus

from .shapes import WireIn, WireOut
from .words import ServerNameText


class SyncIn(WireIn):
    """Which servers to sync; all enabled ones unless named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"servers": ["time"]}]})

    servers: Annotated[list[ServerNameText], Field(max_length=10_000)] | None = None


class SyncReportOut(WireOut):
    """What a sync of one server did. ``error`` is null when it succeeded."""

    server: str
    status: ServerStatus
    added: list[str] = []
    updated: list[str] = []
    removed: list[str] = []
    quarantined: list[str] = []
    """New or changed, and neither found nor callable until somebody approves."""
    marked: list[str] = []
    """Among those added, updated and quarantined: what somebody should look at."""
    unchanged: int = 0
    malformed: int = 0
    """Listed objects that could not be read, and were left out."""
    skipped: bool = False
    """Another process was at it; nothing was done here."""
    revision: int = 0
    duration_s: float = 0.0
    error: str | None = None


class SyncOut(WireOut):
    """The reports, in the order of the servers."""

    reports: list[SyncReportOut]


class SyncStatusOut(WireOut):
    """How far the registry and its index are. ``indexRevision`` is null until the index opens."""

    revision: int
    index_revision: int | None = None
    servers: int
    entries: dict[str, int]


class SyncServerOut(WireOut):
    """How one server's sync stands."""

    server: str
    status: ServerStatus
    enabled: bool = True
    stale: bool = False
    """Its last good entries are kept although it could not be reached since."""
    lag_s: float | None = None
    """Seconds since the registry last said what the server said; null before the first sync."""
    in_progress: bool = False
    failures: int = 0
    """Attempts that failed in a row."""
    error: str | None = None
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    changed_at: datetime | None = None
    fresh_until: datetime | None = None
    next_attempt_at: datetime | None = None
    duration_ms: float | None = None


class SyncRatesOut(WireOut):
    """How fast syncing went over the last minute in this process."""

    syncs_per_s: float = 0.0
    failures_per_s: float = 0.0
    changes_per_s: float = 0.0


class SyncServersOut(WireOut):
    """How every live server's sync stands, by name."""

    items: list[SyncServerOut]
    rates: SyncRatesOut = SyncRatesOut()
