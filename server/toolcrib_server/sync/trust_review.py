"""The seat of trust in the loop: gathers the evidence on what changed at a server, has it judged.

Keeps what all tools look like in memory, and follows the change log for what other processes write,
so that a review costs a scan of what changed and no read of what did not. Safe between threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    Entry,
    EntryChanges,
    EntryId,
    EntryKind,
    MarkReason,
    OwnedEntry,
    Revision,
    Server,
    Tool,
    split_id,
)
from toolcrib_server.scan import scan_definition

from .diff import Difference, tool_entry
from .trust import Evidence, Standing, judge, pair_renames, resume, standing_of
from .trust_neighbours import Kin, Neighbours, Resemblance
from .trust_past import MARKS_ALONE, Chronicle, Past, is_pin_approved

_FOLLOW_EVERY_S: Final = 5.0
"""How late another process's tools may be known. Its own are known at once."""
_LOG_BATCH: Final = 5_000
_LOG_BYTES: Final = 64 * 1024 * 1024


class TrustReview:
    """Decides what becomes of what a server lists; see `toolcrib_server.sync.writer.Review`."""

    def __init__(
        self,
        store: Store,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._neighbours: Neighbours | None = None
        self._seen = Revision(0)
        self._followed_at = 0.0

    def __call__(
        self, server: Server, difference: Difference, before: Mapping[EntryId, Entry]
    ) -> EntryChanges:
        """Return the changes with trust, marks, pins and renames filled in.

        Raises:
            StoreError: The database failed.
        """
        changes = difference.changes
        renames = pair_renames(changes.upserts, changes.removals, before)
        earlier = {new: old for old, new in renames.items()}
        beside = [entry.local_name for entry in changes.upserts]
        findings = {entry.id: scan_definition(entry.definition) for entry in changes.upserts}
        with self._lock:
            neighbours = self._current()
            kin = neighbours.kin_of(server.name, beside)
            likeness = {
                entry.id: _likeness(neighbours, entry, before.get(entry.id), kin)
                for entry in changes.upserts
            }
            _note(neighbours, changes)
        chronicle = Chronicle(self._store, server.name)
        judged: list[OwnedEntry] = []
        for entry in changes.upserts:
            old = earlier.get(entry.id)
            stored = before.get(old or entry.id)
            # One that is there, or is not back but here for the first time, has no past.
            is_new = entry.id not in before and server.health.synced_at is not None
            past = chronicle.past(entry.id) if is_new else None
            evidence = Evidence(
                before=self._standing(entry, stored, past),
                renamed_from=old,
                is_late=is_new and past is None and old is None,
                findings=findings[entry.id],
                resemblance=likeness[entry.id],
            )
            decided = judge(entry, evidence, server.on_change)
            if past is not None:
                decided = resume(decided, past.standing, is_enabled=past.is_enabled)
            judged.append(decided)
        return replace(changes, upserts=tuple(judged), renames=renames)

    def twins(self, entry: OwnedEntry) -> tuple[EntryId, ...]:
        """Name the tools of other servers that say exactly the same: honest duplicates."""
        with self._lock:
            return self._current().twins(entry)

    def resemblance(self, entry: OwnedEntry) -> Resemblance | None:
        """Find the tool of another server that a stored one imitates, if any."""
        with self._lock:
            return self._current().resemblance(entry)

    # --- what is known of an entry -------------------------------------------------------------

    def _standing(
        self, entry: OwnedEntry, stored: Entry | None, past: Past | None
    ) -> Standing | None:
        if not isinstance(stored, OwnedEntry):
            return None if past is None else past.standing
        standing = standing_of(stored)
        if entry.content_hash != standing.pinned_hash:
            return standing
        return replace(standing, pin_approved=is_pin_approved(self._store, stored))

    # --- what all tools look like, under the lock ----------------------------------------------

    def _current(self) -> Neighbours:
        now = self._monotonic()
        if self._neighbours is None:
            self._seen = self._store.head()
            self._neighbours = Neighbours()
            for entry in self._store.iter_entries(kind=EntryKind.TOOL):
                if isinstance(entry, Tool):
                    self._neighbours.put(entry)
            self._followed_at = now
        elif now - self._followed_at >= _FOLLOW_EVERY_S:
            self._follow(self._neighbours)
            self._followed_at = now
        return self._neighbours

    def _follow(self, neighbours: Neighbours) -> None:
        while changes := self._store.list_changes(
            since=self._seen, limit=_LOG_BATCH, most_bytes=_LOG_BYTES
        ):
            for change in changes:
                _learn(neighbours, change)
            self._seen = changes[-1].revision


def _likeness(
    neighbours: Neighbours, entry: OwnedEntry, before: Entry | None, kin: Kin
) -> Resemblance | None:
    """Look for what a tool imitates, if it is new or says something else of itself."""
    if not isinstance(entry, Tool):
        return None
    if before is not None and before.description == entry.description:
        # It was looked at when it came; only what it says could make it an imitation since.
        kept = isinstance(before, OwnedEntry) and any(
            mark.reason in {MarkReason.LOOKALIKE, MarkReason.SHADOWS} for mark in before.marks
        )
        if not kept:
            return None
    return neighbours.resemblance(entry, kin)


def _note(neighbours: Neighbours, changes: EntryChanges) -> None:
    for id_ in changes.removals:
        neighbours.drop(id_)
    for entry in changes.upserts:
        if isinstance(entry, Tool):
            neighbours.put(entry)


def _learn(neighbours: Neighbours, change: Change) -> None:
    """Take over what another process wrote."""
    id_ = EntryId(change.subject)
    if change.server is None or not change.subject.startswith(f"{EntryKind.TOOL}:"):
        return
    if change.action is ChangeAction.REMOVED:
        neighbours.drop(id_)
        return
    said: Any = (change.after or {}).get("name")
    if isinstance(said, str) and change.after is not None and change.fields != MARKS_ALONE:
        entry = replace(tool_entry(change.server, change.after), name=split_id(id_)[1])
        neighbours.put(entry)
