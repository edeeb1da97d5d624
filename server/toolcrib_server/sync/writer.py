"""Many servers' listings brought to the registry: compare, review, encode, then one transaction.

Blocks; runs in a worker thread. Whatever it is given is written whole or not at all, and only while
the leases are held. Knows no connection, no index and no schedule of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from toolcrib_registry.errors import (
    AlreadyExists,
    EncoderError,
    LeaseLost,
    NotFound,
    ToolcribError,
)
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    Entry,
    EntryChanges,
    EntryId,
    OwnedEntry,
    Server,
    ServerHealth,
    ServerName,
    ServerWrite,
    Trust,
    Vectors,
)

from .answer import Answer, health_after, health_after_failure
from .checkpoints import Checkpoint
from .diff import Difference, compare, entries_of
from .embedder import Embedder, Progress
from .report import SyncReport, changes_in_brief
from .schedule import Cadence

logger = logging.getLogger(__name__)


class Review(Protocol):
    """Decides what becomes of changes before they are written: the seat of trust."""

    def __call__(
        self, server: Server, difference: Difference, before: Mapping[EntryId, Entry]
    ) -> EntryChanges:
        """Return what is to be written; ``before`` holds the changed entries as they are stored."""
        ...


@dataclass(frozen=True, slots=True)
class _Decided:
    """One answer, and what is to be written for it."""

    answer: Answer
    difference: Difference
    changes: EntryChanges
    health: ServerHealth

    @property
    def write(self) -> ServerWrite:
        return ServerWrite(changes=self.changes, health=self.health, lease=self.answer.lease)


class Writer:
    """Writes what servers answered. Safe to share between threads."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        review: Review,
        cadence: Cadence,
        checkpoint: Checkpoint,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._review = review
        self._cadence = cadence
        self._checkpoint = checkpoint
        self._now = now

    def write(
        self, answers: Sequence[Answer], *, actor: str, on_progress: Progress | None = None
    ) -> tuple[SyncReport, ...]:
        """Write all of it, in one transaction if nothing stands against that.

        Raises:
            StoreError: The database failed; nothing, or only some servers, are written.
        """
        compared = self._compare(answers)
        self._checkpoint("compared")
        stored = self._stored(difference for _, difference in compared)
        decided = [self._judge(answer, difference, stored) for answer, difference in compared]
        self._checkpoint("reviewed")
        vectors = self._encode(decided, stored, on_progress)
        self._checkpoint("embedded")
        return self._commit(decided, vectors, actor)

    # --- deciding --------------------------------------------------------------------------

    def _compare(self, answers: Sequence[Answer]) -> list[tuple[Answer, Difference]]:
        unread = [each.server.name for each in answers if each.is_news]
        known = self._store.hashes_by_server(unread) if unread else {}
        return [(each, _difference(each, known.get(each.server.name, {}))) for each in answers]

    def _stored(self, differences: Iterable[Difference]) -> Mapping[EntryId, Entry]:
        changes = [difference.changes for difference in differences]
        ids = [entry.id for each in changes for entry in each.upserts]
        ids += [id_ for each in changes for id_ in each.removals]
        return self._store.get_entries(ids) if ids else {}

    def _judge(
        self, answer: Answer, difference: Difference, stored: Mapping[EntryId, Entry]
    ) -> _Decided:
        changes = difference.changes
        if changes.upserts or changes.removals:
            touched = (*(entry.id for entry in changes.upserts), *changes.removals)
            before = {id_: stored[id_] for id_ in touched if id_ in stored}
            changes = self._review(answer.server, difference, before)
        health = health_after(
            answer,
            changed=bool(changes.upserts or changes.removals),
            collisions=difference.collisions,
            cadence=self._cadence,
            now=self._now(),
        )
        return _Decided(answer, difference, changes, health)

    # --- encoding --------------------------------------------------------------------------

    def _encode(
        self,
        decided: Sequence[_Decided],
        stored: Mapping[EntryId, Entry],
        on_progress: Progress | None,
    ) -> Vectors | None:
        entries = [
            _as_stored(entry, stored.get(entry.id))
            for each in decided
            for entry in each.changes.upserts
            if entry.trust is not Trust.QUARANTINED
        ]
        try:
            return self._embedder.prepare(entries, on_progress=on_progress)
        except EncoderError as error:
            # The entries are worth more than their vectors: these follow when it works again.
            logger.warning("Entries are written without vectors: %s", error)
            return None

    # --- committing ------------------------------------------------------------------------

    def _commit(
        self, decided: Sequence[_Decided], vectors: Vectors | None, actor: str
    ) -> tuple[SyncReport, ...]:
        self._checkpoint("before-commit")
        try:
            writes = [each.write for each in decided]
            changes = self._store.apply_many(writes, actor=actor, vectors=vectors)
        except (AlreadyExists, LeaseLost, NotFound):
            # One of them cannot be written; which one, shows when each is written by itself.
            commit = partial(self._commit_one, vectors=vectors, actor=actor)
            reports = tuple(map(commit, decided))
        else:
            by_server = _by_server(changes)
            reports = tuple(_report(each, by_server.get(_name(each), ())) for each in decided)
        self._checkpoint("after-commit")
        return reports

    def _commit_one(self, decided: _Decided, *, vectors: Vectors | None, actor: str) -> SyncReport:
        answer = decided.answer
        try:
            changes = self._store.apply(
                decided.changes,
                actor=actor,
                health=decided.health,
                vectors=vectors,
                lease=answer.lease,
            )
        except AlreadyExists as error:
            return self._refuse(answer, error)
        except (LeaseLost, NotFound) as error:
            # Another process has taken over, or the server was removed: theirs is the word.
            return given_up(answer.server, error.detail, duration_s=answer.duration_s)
        return _report(decided, changes)

    def _refuse(self, answer: Answer, error: ToolcribError) -> SyncReport:
        health = health_after_failure(answer, error.detail, cadence=self._cadence, now=self._now())
        changes = EntryChanges(server=answer.server.name)
        try:
            self._store.apply(changes, actor="", health=health, lease=answer.lease)
        except (LeaseLost, NotFound) as lost:
            return given_up(answer.server, lost.detail, duration_s=answer.duration_s)
        return SyncReport(
            server=answer.server.name,
            status=health.status,
            error=error.detail,
            next_attempt_at=health.next_attempt_at,
            duration_s=answer.duration_s,
        )


def given_up(server: Server, why: str, *, duration_s: float = 0.0) -> SyncReport:
    """Report a server that was left to another process, or is no longer there."""
    return SyncReport(
        server=server.name,
        status=server.health.status,
        skipped=True,
        error=why,
        duration_s=duration_s,
    )


def approve_everything(
    server: Server, difference: Difference, before: Mapping[EntryId, Entry]
) -> EntryChanges:
    """Review nothing: a server's word is taken."""
    return difference.changes


def _difference(answer: Answer, known: Mapping[EntryId, str]) -> Difference:
    name, listing = answer.server.name, answer.listing
    if listing is None or listing.unchanged:
        return Difference(changes=EntryChanges(server=name), unchanged=0)
    return compare(name, entries_of(name, listing), known, unlisted=listing.failed_kinds)


def _as_stored(entry: OwnedEntry, before: Entry | None) -> OwnedEntry:
    """Give an updated entry the tags that it keeps: they are part of what is embedded."""
    return entry if before is None or entry.tags else replace(entry, tags=before.tags)


def _name(decided: _Decided) -> ServerName:
    return decided.answer.server.name


def _by_server(changes: Iterable[Change]) -> dict[ServerName, list[Change]]:
    by_server: dict[ServerName, list[Change]] = {}
    for change in changes:
        if change.server is not None:
            by_server.setdefault(change.server, []).append(change)
    return by_server


def _report(decided: _Decided, changes: Sequence[Change]) -> SyncReport:
    answer, health = decided.answer, decided.health
    report = SyncReport(
        server=answer.server.name,
        status=health.status,
        unchanged=decided.difference.unchanged,
        malformed=len(health.malformed),
        duration_s=answer.duration_s,
        next_attempt_at=health.next_attempt_at,
        error=health.error,
    )
    return replace(report, **changes_in_brief(changes)) if changes else report
