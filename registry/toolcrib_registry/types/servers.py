"""MCP servers: how each is reached, what it is set to, and how it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from .names import EntryKind, JsonObject, ServerName


@dataclass(frozen=True, slots=True)
class StdioTransport:
    """A server run as a child process. Values of ``env`` may hold ``${…}`` references."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """A server reached over Streamable HTTP. Values of ``headers`` may hold ``${…}`` references."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class SseTransport:
    """A server reached over the superseded HTTP+SSE transport."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class CatalogTransport:
    """No live server: entries imported from a file. They can be found, not called."""

    source: str


Transport: TypeAlias = StdioTransport | HttpTransport | SseTransport | CatalogTransport


class ServerStatus(StrEnum):
    """What the last attempt to reach a server showed."""

    NEW = "new"
    """Registered, never reached yet."""
    READY = "ready"
    """The last sync succeeded."""
    DEGRADED = "degraded"
    """The last sync succeeded, with some of its entries set aside."""
    UNREACHABLE = "unreachable"
    """The last sync failed; the last good entries are kept and are as old as ``synced_at``."""


class ChangePolicy(StrEnum):
    """What a change that a server makes to one of its entries does here."""

    APPLY = "apply"
    MARK = "mark"
    """It is applied, and shown as changed until somebody approves it."""
    QUARANTINE = "quarantine"
    """The entry is neither found nor callable until somebody approves it."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """One listed object that was set aside, and why. ``kind`` says what it claimed to be."""

    kind: EntryKind
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """What is known of a server from talking to it. All times are aware UTC."""

    status: ServerStatus = ServerStatus.NEW
    attempted_at: datetime | None = None
    synced_at: datetime | None = None
    error: str | None = None
    protocol_version: str | None = None
    reported_name: str | None = None
    reported_version: str | None = None
    instructions: str | None = None
    malformed: tuple[Malformed, ...] = ()
    failures: int = 0
    """Attempts that failed since the last that succeeded."""
    next_attempt_at: datetime | None = None
    fresh_until: datetime | None = None
    """Until when the server said its lists stay true."""
    changed_at: datetime | None = None
    """The last sync that changed anything."""
    duration_ms: float | None = None
    """How long the last attempt took."""
    listing_digest: str | None = None
    """A hash over all that it listed last: an equal one need not be compared again."""
    cache_scope: str | None = None
    """``private`` when a list of it is for whoever asked alone, else ``public``, as it said."""
    capabilities: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A registered MCP server: how to reach it, and how it fares."""

    name: ServerName
    transport: Transport
    enabled: bool = True
    tags: tuple[str, ...] = ()
    on_change: ChangePolicy = ChangePolicy.MARK
    origin: str = "cli"
    """Who registered it: ``cli``, ``api``, ``config:FILE`` or ``import:FILE``."""
    start_timeout_s: float = 60.0
    call_timeout_s: float | None = None
    """The deadline of a call; None is the operator's setting."""
    health: ServerHealth = field(default_factory=ServerHealth)
    added_at: datetime | None = None

    @property
    def callable(self) -> bool:
        """Whether its tools can be called at all (a catalogue's cannot)."""
        return not isinstance(self.transport, CatalogTransport)
