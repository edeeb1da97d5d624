"""What an entry was before, read off the change log: its pin, its trust, whether it was off.

How an entry stood last is in the end of its history, what was pinned in the beginning and in what
people decided. Each is asked for by itself, so that a server that changes a thing a thousand times
cannot push out of sight what it said first. Blocks; knows no policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    JsonObject,
    Mark,
    OwnedEntry,
    Revision,
    ServerName,
    Trust,
    hash_content,
)

from .trust import Standing

MARKS_ALONE: Final = ("marks",)
"""The fields of a change that says what a scan found, and nothing of the definition."""
_TAIL: Final = 50
_MOST_NAMES: Final = 200
"""Renames are followed back so far. What was pinned before that is not known any more."""
_NO_PIN: Final = "0" * 64
"""What no definition hashes to: what the entry says can then only be approved."""
_SWITCHED: Final = frozenset({ChangeAction.ENABLED, ChangeAction.DISABLED})


@dataclass(frozen=True, slots=True)
class Roots:
    """What a history says that does not depend on how it ended."""

    pinned_hash: str
    is_approved: bool
    """Whether a person approved what is pinned."""
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Past:
    """How an entry that is not there stood when it went."""

    standing: Standing
    is_enabled: bool


class Chronicle:
    """Reads what the entries of one server were, since it was registered."""

    def __init__(self, store: Store, server: ServerName) -> None:
        self._store = store
        self._server = server
        self._since: Revision | None = None

    def past(self, id_: EntryId) -> Past | None:
        """Tell how an entry stood when it went; None of one that never was, or is there."""
        tail = self._store.last_changes(subject=id_, since=self._registered_at(), limit=_TAIL)
        standing = recall(tail)
        if standing is None:
            return None
        roots = self._roots(id_, tail[-1].revision)
        return Past(
            replace(standing, pinned_hash=roots.pinned_hash, pin_approved=roots.is_approved),
            roots.is_enabled,
        )

    def _roots(self, id_: EntryId, until: Revision) -> Roots:
        """Follow a history to its beginning, and through renames to those of earlier names."""
        pinned: str | None = None
        approved = False
        enabled: bool | None = None
        for _ in range(_MOST_NAMES):
            approval = self._last(id_, until, {ChangeAction.APPROVED})
            if pinned is None and approval is not None:
                pinned, approved = (approval.after or {}).get("pinned_hash"), True
            switch = self._last(id_, until, _SWITCHED)
            if enabled is None and switch is not None:
                enabled = switch.action is ChangeAction.ENABLED
            first = self._first(id_)
            if first is None or first.related is None:
                pinned = pinned or hash_content((first and first.after) or {})
                break
            id_, until = first.related, first.revision
        return Roots(pinned or _NO_PIN, approved, enabled is not False)

    def _last(
        self, id_: EntryId, until: Revision, actions: Iterable[ChangeAction]
    ) -> Change | None:
        found = self._store.last_changes(
            subject=id_, since=self._registered_at(), until=until, actions=set(actions), limit=1
        )
        return next(iter(found), None)

    def _first(self, id_: EntryId) -> Change | None:
        since = self._registered_at()
        return next(iter(self._store.list_changes(subject=id_, since=since, limit=1)), None)

    def _registered_at(self) -> Revision:
        # What another server of the same name once listed is not this one's past.
        if self._since is None:
            added = self._store.last_changes(
                subject=f"server:{self._server}", actions={ChangeAction.ADDED}, limit=1
            )
            self._since = next((change.revision for change in added), Revision(0))
        return self._since


def is_pin_approved(store: Store, entry: OwnedEntry) -> bool:
    """Whether a person approved what is pinned of a stored entry."""
    last = store.last_changes(subject=entry.id, actions={ChangeAction.APPROVED}, limit=1)
    return any((change.after or {}).get("pinned_hash") == entry.pinned_hash for change in last)


def recall(tail: Iterable[Change]) -> Standing | None:
    """Read how an entry stood when it went off the end of its history, oldest first.

    None if its last change is not its removal. What is pinned is not told by this alone.
    """
    trust, marks = Trust.TRUSTED, tuple[Mark, ...]()
    definition: JsonObject | None = None
    last: ChangeAction | None = None
    for change in tail:
        last = change.action
        match change.action:
            case ChangeAction.REMOVED:
                definition = change.before
            case ChangeAction.APPROVED:
                trust, marks = Trust.TRUSTED, ()
            case ChangeAction.ADDED | ChangeAction.UPDATED | ChangeAction.QUARANTINED:
                trust, marks = _trust_after(change), change.marks
            case _:
                continue
    if definition is None or last is not ChangeAction.REMOVED:
        return None
    content_hash = hash_content(definition)
    return Standing(
        definition=definition,
        content_hash=content_hash,
        pinned_hash=content_hash,
        trust=trust,
        marks=marks,
    )


def _trust_after(change: Change) -> Trust:
    if change.fields == MARKS_ALONE:
        return Trust((change.after or {}).get("trust", Trust.TRUSTED))
    if change.action is ChangeAction.QUARANTINED:
        return Trust.QUARANTINED
    return Trust.MARKED if change.marks else Trust.TRUSTED
