"""What a sync found different at one server, brought to the entries it owns, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session, col, delete, insert, select, update

from toolcrib_registry.errors import AlreadyExists, InvalidInput
from toolcrib_registry.tables import EntryRow
from toolcrib_registry.types import (
    Change,
    ChangeAction,
    EntryChanges,
    EntryId,
    OwnedEntry,
    ServerWrite,
    Trust,
    Vectors,
    hash_content,
)

from . import embeddings, leases, servers
from .entries import chunks
from .log import ChangeLog, differing_fields
from .rows import entry_columns


@dataclass(frozen=True, slots=True)
class _Stored:
    """What decides about an upsert: whose the name is, and what it said last."""

    server: str | None
    content_hash: str


def apply(
    session: Session, writes: Sequence[ServerWrite], *, actor: str, vectors: Vectors | None
) -> tuple[Change, ...]:
    """Bring what syncs found to entries, each with a change, with vectors and the servers' health.

    Raises:
        LeaseLost: a server was taken over since its lease was given.
        NotFound: no such server.
        AlreadyExists: a name belongs to another server, or comes twice.
        InvalidInput: an entry says it belongs to another server.
    """
    servers.check_exist(session, [write.changes.server for write in writes])
    leases.check_held(session, [write.lease for write in writes if write.lease])
    if vectors is not None:
        for each in filter(None, (vectors, vectors.tokens)):
            embeddings.put(session, each.encoder_id, each.by_hash)
    made = apply_all(session, [write.changes for write in writes], actor=actor)
    known = {write.changes.server: write.health for write in writes if write.health}
    servers.set_healths(session, known)
    return made


def apply_all(
    session: Session, changes: Sequence[EntryChanges], *, actor: str
) -> tuple[Change, ...]:
    """Remove, add and update the entries of servers that exist, a few statements for all.

    Raises:
        AlreadyExists, InvalidInput: as `apply`.
    """
    log = ChangeLog(session, actor=actor)
    upserts = _checked(changes)
    stored = _stored(session, list(upserts))
    for id_, known in stored.items():
        if known.server != upserts[id_].server:
            raise AlreadyExists(upserts[id_].kind.value, upserts[id_].name)
    kept: dict[EntryId, EntryRow] = {}
    for each in changes:
        gone = [id_ for id_ in each.removals if id_ not in upserts]
        kept |= _remove(session, gone, each, log)
    _add(session, [entry for id_, entry in upserts.items() if id_ not in stored], kept, log)
    _update(session, [e for id_, e in upserts.items() if _differs(e, stored.get(id_))], log)
    return log.close()


def _checked(changes: Sequence[EntryChanges]) -> dict[EntryId, OwnedEntry]:
    upserts: dict[EntryId, OwnedEntry] = {}
    for entry, owner in ((entry, each.server) for each in changes for entry in each.upserts):
        if entry.server != owner:
            raise InvalidInput(f"{entry.id} belongs to server {entry.server!r}, not to {owner!r}.")
        if entry.id in upserts:
            raise AlreadyExists(entry.kind.value, entry.name)
        upserts[entry.id] = _completed(entry)
    return upserts


def _completed(entry: OwnedEntry) -> OwnedEntry:
    if entry.content_hash and entry.pinned_hash:
        return entry
    own = entry.content_hash or hash_content(entry.definition)
    return replace(entry, content_hash=own, pinned_hash=entry.pinned_hash or own)


def _stored(session: Session, ids: Sequence[EntryId]) -> dict[EntryId, _Stored]:
    found: dict[EntryId, _Stored] = {}
    for chunk in chunks(ids):
        query = select(EntryRow.id, EntryRow.server, EntryRow.content_hash)
        for id_, server, content_hash in session.exec(query.where(col(EntryRow.id).in_(chunk))):
            found[EntryId(id_)] = _Stored(server, content_hash)
    return found


def _differs(entry: OwnedEntry, stored: _Stored | None) -> bool:
    return stored is not None and stored.content_hash != entry.content_hash


def _remove(
    session: Session, ids: Sequence[EntryId], changes: EntryChanges, log: ChangeLog
) -> dict[EntryId, EntryRow]:
    """Remove entries; return those that live on under another name, by that name's id."""
    renamed: dict[EntryId, EntryRow] = {}
    for row in _rows(session, sorted(set(ids))):
        if row.server != changes.server:
            continue
        now = changes.renames.get(EntryId(row.id))
        log.note(
            ChangeAction.REMOVED,
            row.id,
            server=changes.server,
            before=row.definition,
            related=now,
        )
        if now is not None:
            renamed[now] = row
    for chunk in chunks(ids):
        mine = (col(EntryRow.id).in_(chunk), col(EntryRow.server) == changes.server)
        session.exec(delete(EntryRow).where(*mine))
    return renamed


def _add(
    session: Session,
    entries: Iterable[OwnedEntry],
    renamed: Mapping[EntryId, EntryRow],
    log: ChangeLog,
) -> None:
    rows: list[dict[str, Any]] = []
    for entry in entries:
        old = renamed.get(entry.id)
        change = log.note(
            _action(entry, ChangeAction.ADDED),
            entry.id,
            server=entry.server,
            after=entry.definition,
            related=None if old is None else EntryId(old.id),
            marks=entry.marks,
        )
        stamps: dict[str, Any] = {"revision": change.revision, "updated_at": log.at}
        if old is None:
            stamps["added_at"] = log.at
        else:
            # A name that was switched off when it went is not switched on by renaming into it.
            stamps["enabled"] = entry.enabled and old.enabled
        rows.append(entry_columns(entry if old is None else _inherit(entry, old)) | stamps)
    if rows:
        # Past the ORM, which would look at each of thousands of rows and change none.
        session.connection().execute(insert(EntryRow), rows)


def _inherit(entry: OwnedEntry, old: EntryRow) -> OwnedEntry:
    """Keep of a stored entry what people decided about it, and its age."""
    return replace(
        entry,
        enabled=old.enabled,
        tags=entry.tags or tuple(old.tags),
        added_at=old.added_at,
    )


def _action(entry: OwnedEntry, action: ChangeAction) -> ChangeAction:
    return ChangeAction.QUARANTINED if entry.trust is Trust.QUARANTINED else action


def _update(session: Session, entries: Sequence[OwnedEntry], log: ChangeLog) -> None:
    current = {row.id: row for row in _rows(session, [entry.id for entry in entries])}
    rows: list[dict[str, Any]] = []
    for entry in entries:
        kept = current[entry.id]
        before = kept.definition or {}
        change = log.note(
            _action(entry, ChangeAction.UPDATED),
            entry.id,
            server=entry.server,
            fields=differing_fields(before, entry.definition),
            before=before,
            after=entry.definition,
            marks=entry.marks,
        )
        updated = _inherit(replace(entry, revision=change.revision, updated_at=log.at), kept)
        rows.append(entry_columns(updated))
    if rows:
        session.exec(update(EntryRow), params=rows)


def _rows(session: Session, ids: Sequence[EntryId]) -> Iterable[EntryRow]:
    for chunk in chunks(ids):
        yield from session.exec(select(EntryRow).where(col(EntryRow.id).in_(chunk))).all()
