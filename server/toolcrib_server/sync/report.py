"""What one sync of one server found and did, as it is shown to people and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    Revision,
    ServerName,
    ServerStatus,
)

from .meter import SyncTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What one sync of one server found and did. ``error`` is None when it succeeded."""

    server: ServerName
    status: ServerStatus
    added: tuple[EntryId, ...] = ()
    updated: tuple[EntryId, ...] = ()
    removed: tuple[EntryId, ...] = ()
    quarantined: tuple[EntryId, ...] = ()
    """New or changed, and neither found nor callable until somebody approves."""
    marked: tuple[EntryId, ...] = ()
    """Among those added, updated and quarantined: what somebody should look at."""
    renamed: Mapping[EntryId, EntryId] = field(default_factory=dict[EntryId, EntryId])
    """Removed ids and those that took their place, which are among the added."""
    unchanged: int = 0
    malformed: int = 0
    """Listed objects that could not be read, and were left out."""
    revision: Revision = Revision(0)
    """How far the index is."""
    duration_s: float = 0.0
    next_attempt_at: datetime | None = None
    skipped: bool = False
    """Another process was at it; nothing was done here."""
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether anything in the registry is different now."""
        return bool(self.added or self.updated or self.removed or self.quarantined)

    @property
    def totals(self) -> SyncTotals:
        """What it adds to the counts."""
        failed = self.error is not None and not self.skipped
        return SyncTotals(
            syncs=1,
            unchanged=int(not (self.changed or failed or self.skipped)),
            failed=int(failed),
            skipped=int(self.skipped),
            added=len(self.added),
            updated=len(self.updated) + len(self.quarantined),
            removed=len(self.removed),
            seconds=self.duration_s,
        )


def changes_in_brief(changes: Sequence[Change]) -> dict[str, object]:
    """Sort the changes of one server into the fields of a report."""
    of_entries = [change for change in changes if not change.subject.startswith("server:")]
    return {
        "added": _subjects(of_entries, ChangeAction.ADDED),
        "updated": _subjects(of_entries, ChangeAction.UPDATED),
        "removed": _subjects(of_entries, ChangeAction.REMOVED),
        "quarantined": _subjects(of_entries, ChangeAction.QUARANTINED),
        "marked": tuple(EntryId(each.subject) for each in of_entries if each.marks),
        "renamed": {
            EntryId(each.subject): each.related
            for each in of_entries
            if each.action is ChangeAction.REMOVED and each.related is not None
        },
    }


def _subjects(changes: Sequence[Change], action: ChangeAction) -> tuple[EntryId, ...]:
    return tuple(EntryId(change.subject) for change in changes if change.action is action)
