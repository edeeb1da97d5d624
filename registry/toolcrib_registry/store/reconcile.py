"""What a sync found different at one server, brought to the entries it owns, all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    ServerHealth,
    ServerName,
    hash_content,
)

from . import servers
from .entries import chunks
from .log import ChangeLog, differing_fields
from .rows import entry_columns


@dataclass(frozen=True, slots=True)
class _Stored:
    """What decides about an upsert: whose the name is, and what it said last."""

    server: str | None
    content_hash: str


def apply(
    session: Session, changes: EntryChanges, *, actor: str, health: ServerHealth | None
) -> tuple[Change, ...]:
    """Remove, add and update a server's entries, each with a change, and set its health.

    Raises:
        NotFound: no such server.
        AlreadyExists: a name belongs to another server, or comes twice.
        InvalidInput: an entry says it belongs to another server.
    """
    servers.get(session, changes.server)
    made = apply_all(session, [changes], actor=actor)
    if health is not None:
        servers.set_health(session, changes.server, health)
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
    for each in changes:
        gone = [id_ for id_ in each.removals if id_ not in upserts]
        _remove(session, gone, each.server, log)
    _add(session, [entry for id_, entry in upserts.items() if id_ not in stored], log)
    _update(session, [e for id_, e in upserts.items() if _differs(e, stored.get(id_))], log)
    return log.close()


def _checked(changes: Sequence[EntryChanges]) -> dict[EntryId, OwnedEntry]:
    upserts: dict[EntryId, OwnedEntry] = {}
    for entry, owner in ((entry, each.server) for each in changes for entry in each.upserts):
        if entry.server != owner:
            raise InvalidInput(f"{entry.id} belongs to server {entry.server!r}, not to {owner!r}.")
        if entry.id in upserts:
            raise AlreadyExists(entry.kind.value, entry.name)
        upserts[entry.id] = entry if entry.content_hash else _hashed(entry)
    return upserts


def _hashed(entry: OwnedEntry) -> OwnedEntry:
    return replace(entry, content_hash=hash_content(entry.definition))


def _stored(session: Session, ids: Sequence[EntryId]) -> dict[EntryId, _Stored]:
    found: dict[EntryId, _Stored] = {}
    for chunk in chunks(ids):
        query = select(EntryRow.id, EntryRow.server, EntryRow.content_hash)
        for id_, server, content_hash in session.exec(query.where(col(EntryRow.id).in_(chunk))):
            found[EntryId(id_)] = _Stored(server, content_hash)
    return found


def _differs(entry: OwnedEntry, stored: _Stored | None) -> bool:
    return stored is not None and stored.content_hash != entry.content_hash


def _remove(session: Session, ids: Sequence[EntryId], server: ServerName, log: ChangeLog) -> None:
    for row in _rows(session, sorted(set(ids))):
        if row.server == server:
            log.note(ChangeAction.REMOVED, row.id, server=server, before=row.definition)
    for chunk in chunks(ids):
        mine = (col(EntryRow.id).in_(chunk), col(EntryRow.server) == server)
        session.exec(delete(EntryRow).where(*mine))


def _add(session: Session, entries: Iterable[OwnedEntry], log: ChangeLog) -> None:
    rows: list[dict[str, Any]] = []
    for entry in entries:
        change = log.note(ChangeAction.ADDED, entry.id, server=entry.server, after=entry.definition)
        at = {"added_at": log.at, "updated_at": log.at}
        rows.append(entry_columns(replace(entry, revision=change.revision, **at)))
    if rows:
        session.exec(insert(EntryRow), params=rows)


def _update(session: Session, entries: Sequence[OwnedEntry], log: ChangeLog) -> None:
    current = {row.id: row for row in _rows(session, [entry.id for entry in entries])}
    rows: list[dict[str, Any]] = []
    for entry in entries:
        kept = current[entry.id]
        before = kept.definition or {}
        change = log.note(
            ChangeAction.UPDATED,
            entry.id,
            server=entry.server,
            fields=differing_fields(before, entry.definition),
            before=before,
            after=entry.definition,
        )
        updated = replace(
            entry,
            enabled=kept.enabled,
            tags=entry.tags or tuple(kept.tags),
            revision=change.revision,
            added_at=kept.added_at,
            updated_at=log.at,
        )
        rows.append(entry_columns(updated))
    if rows:
        session.exec(update(EntryRow), params=rows)


def _rows(session: Session, ids: Sequence[EntryId]) -> Iterable[EntryRow]:
    for chunk in chunks(ids):
        yield from session.exec(select(EntryRow).where(col(EntryRow.id).in_(chunk))).all()
