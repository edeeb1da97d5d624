"""What an entry said at each of its revisions, read off the change log; also when it is gone.

A change log keeps whole definitions, so that nothing has to be replayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from toolcrib_registry.errors import NotFound, RevisionNotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    EntryKind,
    JsonObject,
    OwnedEntry,
    Revision,
    entry_id,
)

from .edits import Edit, list_edits

MAX_REVISIONS: Final = 1_000
_NAMED: Final = 20
_WHOLE: Final = frozenset(
    {
        ChangeAction.ADDED,
        ChangeAction.UPDATED,
        ChangeAction.REMOVED,
        ChangeAction.QUARANTINED,
    }
)
"""Actions whose changes bear whole definitions; those of a switch bear the switch alone."""
_NOT_LISTED: Final = frozenset({("marks",), ("trust",)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An entry as one of its revisions left it; a removal shows what was removed."""

    change: Change
    definition: JsonObject | None
    """What its owner said of it then; None where the log does not know."""


def edits_of(change: Change) -> tuple[Edit, ...]:
    """List what a change did to what is said of its subject; nothing where it is new or gone."""
    if change.action not in _WHOLE or change.before is None or change.after is None:
        return ()
    edits = list_edits(change.before, change.after)
    # Marks have lines of their own, with a sentence each.
    return tuple(edit for edit in edits if not edit.path.startswith("marks"))


def list_revisions(
    store: Store, kind: EntryKind | None, name: str, *, limit: int = 100
) -> tuple[Change, ...]:
    """List the last changes of an entry that is or was there, the newest last.

    Without a kind, the first that has such an entry: tool, prompt, resource, model.

    Raises:
        NotFound: nothing ever had that name; near names are offered.
    """
    for each in (kind,) if kind else tuple(EntryKind):
        changes = store.last_changes(subject=entry_id(each, name), limit=limit)
        if changes:
            return changes
    near = store.near_names(kind or EntryKind.TOOL, name)
    raise NotFound(kind.value if kind else "entry", name, near=near)


def read_revision(store: Store, kind: EntryKind | None, name: str, revision: Revision) -> Past:
    """Read an entry as a revision of its own left it.

    Raises:
        NotFound: nothing ever had that name.
        RevisionNotFound: it has no such revision; those that there are, are named.
    """
    known = list_revisions(store, kind, name, limit=_NAMED)
    subject = known[-1].subject
    at = store.list_changes(since=Revision(revision - 1), limit=1, subject=subject)
    if revision < 1 or not at or at[0].revision != revision:
        first = known[0].revision
        earlier = first > 1 and bool(_before(store, subject, first))
        raise RevisionNotFound(
            subject, revision, known=[one.revision for one in known], earlier=earlier
        )
    return Past(change=at[0], definition=_definition(store, at[0]))


def _before(store: Store, subject: str, revision: Revision) -> bool:
    first = store.list_changes(limit=1, subject=subject)
    return bool(first) and first[0].revision < revision


def _definition(store: Store, change: Change) -> JsonObject | None:
    said = _left(change) or (change.before if change.action is ChangeAction.REMOVED else None)
    if said is not None:
        return said
    # A switch says nothing of what was switched: the next change of it does, or what is there now.
    later = store.list_changes(since=change.revision, limit=MAX_REVISIONS, subject=change.subject)
    return _met(later) or _now(store, change.subject)


def _left(change: Change) -> JsonObject | None:
    return change.after if change.action in _WHOLE and change.fields not in _NOT_LISTED else None


def _met(changes: Iterable[Change]) -> JsonObject | None:
    """Give what the first of these changes found."""
    for change in changes:
        if change.action in _WHOLE and change.fields not in _NOT_LISTED:
            return change.before
    return None


def _now(store: Store, subject: str) -> JsonObject | None:
    entry = store.get_entries([EntryId(subject)]).get(EntryId(subject))
    return entry.definition if isinstance(entry, OwnedEntry) else None
