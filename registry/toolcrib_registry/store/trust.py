"""What people and scans decide about entries that are there: approved, marked, set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import Session, update

from toolcrib_registry.errors import EntryChanged
from toolcrib_registry.tables import EntryRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryId,
    EntryKind,
    Mark,
    OwnedEntry,
    Revision,
    Trust,
)

from . import entries
from .log import ChangeLog
from .rows import dump_marks

Judgement = tuple[Trust, tuple[Mark, ...]]
"""Whether an entry may be used, and what there is to look at."""


def approve(
    session: Session, kind: EntryKind, name: str, *, actor: str, seen: Revision | None
) -> Change | None:
    """Trust an entry as it stands, with a change unless it is so already.

    Raises:
        NotFound: with near names.
        EntryChanged: it is not as it was at revision ``seen``.
    """
    log = ChangeLog(session, actor=actor)
    entry = entries.get(session, kind, name)
    if not isinstance(entry, OwnedEntry):
        return None
    if seen is not None and entry.revision != seen:
        raise EntryChanged(kind.value, name, seen=seen, now=entry.revision)
    approved = replace(
        entry, trust=Trust.TRUSTED, marks=(), pinned_hash=entry.content_hash or entry.pinned_hash
    )
    if approved == entry:
        return None
    change = _note(log, entry, approved, ChangeAction.APPROVED, fields=())
    _write(session, [(change, approved)])
    log.close()
    return change


def set_marks(
    session: Session,
    judged: Mapping[EntryId, Judgement],
    *,
    actor: str,
    seen: Mapping[EntryId, Revision],
) -> tuple[Change, ...]:
    """Write what a scan finds of entries, with a change for each that differs.

    What is no longer at the revision that was ``seen`` is passed over: the judgement is of
    something else, and might lift a quarantine that came meanwhile.
    """
    log = ChangeLog(session, actor=actor)
    written: list[tuple[Change, OwnedEntry]] = []
    for id_, entry in entries.find_many(session, sorted(judged), live=False).items():
        if not isinstance(entry, OwnedEntry) or entry.revision != seen.get(id_, entry.revision):
            continue
        trust, marks = judged[id_]
        marked = replace(entry, trust=trust, marks=marks)
        if marked == entry:
            continue
        newly = trust is Trust.QUARANTINED and entry.trust is not trust
        action = ChangeAction.QUARANTINED if newly else ChangeAction.UPDATED
        written.append((_note(log, entry, marked, action, fields=("marks",)), marked))
    _write(session, written)
    return log.close()


def _note(
    log: ChangeLog,
    before: OwnedEntry,
    after: OwnedEntry,
    action: ChangeAction,
    *,
    fields: Sequence[str],
) -> Change:
    return log.note(
        action,
        after.id,
        server=after.server,
        fields=fields,
        before=_shown(before),
        after=_shown(after),
        marks=after.marks,
    )


def _shown(entry: OwnedEntry) -> dict[str, Any]:
    return {
        "trust": entry.trust.value,
        "marks": dump_marks(entry.marks),
        "pinned_hash": entry.pinned_hash,
    }


def _write(session: Session, written: Sequence[tuple[Change, OwnedEntry]]) -> None:
    rows = [
        {"id": entry.id, "revision": change.revision, "updated_at": change.at}
        | {
            "trust": entry.trust.value,
            "marks": dump_marks(entry.marks),
            "pinned_hash": entry.pinned_hash,
        }
        for change, entry in written
    ]
    if rows:
        session.exec(update(EntryRow), params=rows)
