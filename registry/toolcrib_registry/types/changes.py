"""The change log, and what is written to the registry in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .entries import Mark, OwnedEntry
from .names import EntryId, JsonObject, Revision, ServerName
from .servers import ServerHealth


class ChangeAction(StrEnum):
    """What happened to a subject."""

    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    QUARANTINED = "quarantined"
    """Added or updated, and set aside until approved."""
    APPROVED = "approved"
    WRITTEN = "written"
    """A model wrote example questions for it, or they were forgotten; it is as its owner said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One committed change: the unit of the change log."""

    revision: Revision
    at: datetime
    actor: str
    """Who did it: ``sync``, ``cli``, ``api`` or ``api:KEY-NAME``."""
    action: ChangeAction
    subject: str
    """An `EntryId`, or ``server:NAME``."""
    server: ServerName | None
    fields: tuple[str, ...] = ()
    """Which top-level fields of the definition differ, sorted; empty unless updated."""
    before: JsonObject | None = None
    after: JsonObject | None = None
    related: EntryId | None = None
    """What replaced it, of a removal; what it replaces, of an addition."""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is left of an entry that was removed."""

    id: EntryId
    server: ServerName | None
    removed_at: datetime
    revision: Revision
    replaced_by: EntryId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChanges:
    """What a sync found different at one server: a single transaction's worth."""

    server: ServerName
    upserts: tuple[OwnedEntry, ...] = ()
    removals: tuple[EntryId, ...] = ()
    renames: Mapping[EntryId, EntryId] = field(default_factory=dict[EntryId, EntryId])
    """Of removals, the upserts that are the same thing under another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write what one server lists, held by one process at a time."""

    server: ServerName
    holder: str
    token: int
    """Grows with each holder; a write with an older one is refused."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of texts by the texts' hashes, as little-endian float32, by one encoder."""

    encoder_id: str
    by_hash: Mapping[str, bytes]
    tokens: Vectors | None = None
    """Those of the texts' tokens, under a name and in a form of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWrite:
    """What a sync writes of one server."""

    changes: EntryChanges
    health: ServerHealth | None = None
    lease: Lease | None = None
