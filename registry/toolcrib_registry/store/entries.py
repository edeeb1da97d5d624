"""Entries of all kinds: finding and listing them, switching them on and off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Text,
    bindparam,
    exists,
    func,
    literal,
    or_,
    tuple_,
    type_coerce,
)
from sqlalchemy import select as core_select
from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from toolcrib_registry.errors import EntryGone, InvalidInput, NotFound
from toolcrib_registry.tables import EntryRow, KeyText, OfferRow, ServerRow, restored, storable
from toolcrib_registry.types import (
    Change,
    Entry,
    EntryId,
    EntryKind,
    OwnedEntry,
    Page,
    Revision,
    ServerName,
    Trust,
    entry_id,
    split_id,
)

from .log import ChangeLog, find_tombstone, switched
from .names import near
from .rows import entry_from

_NEAR = 5
_CHUNK = 5_000  # parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids into pieces that fit one statement."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def find(session: Session, kind: EntryKind, name: str) -> Entry | None:
    """Find an entry by kind and name."""
    wanted = entry_id(kind, name)
    return find_many(session, [wanted], live=False).get(wanted)


def find_owned(
    session: Session, kind: EntryKind, server: ServerName, local_name: str
) -> OwnedEntry | None:
    """Find an entry by its owner and its name there; of several, the first by name."""
    query = (
        select(EntryRow)
        .where(EntryRow.server == server, EntryRow.local_name == local_name)
        .where(EntryRow.kind == kind.value)
        .order_by(col(EntryRow.name))
        .limit(1)
    )
    found = session.exec(query).first()
    return None if found is None else cast("OwnedEntry", entry_from(found))


def get(session: Session, kind: EntryKind, name: str) -> Entry:
    """Get an entry by kind and name.

    Raises:
        NotFound: with near names.
    """
    entry = find(session, kind, name)
    if entry is None:
        raise absent(session, kind, name)
    return entry


def absent(session: Session, kind: EntryKind, name: str) -> NotFound:
    """Make the error for a name that does not exist, or does not any more."""
    gone = find_gone(session, kind, name)
    return gone or NotFound(kind.value, name, near=near_names(session, kind, name, limit=_NEAR))


def find_gone(session: Session, kind: EntryKind, name: str) -> EntryGone | None:
    """Make the error for an entry that was removed, if it was."""
    tombstone = find_tombstone(session, entry_id(kind, name))
    if tombstone is None:
        return None
    replaced_by = tombstone.replaced_by and split_id(tombstone.replaced_by)[1]
    return EntryGone(kind.value, name, removed_at=tombstone.removed_at, replaced_by=replaced_by)


def find_many(session: Session, ids: Sequence[EntryId], *, live: bool) -> dict[EntryId, Entry]:
    """Find entries by id; those that are absent (or not live, if asked) are left out."""
    found: dict[EntryId, Entry] = {}
    for chunk in chunks(list(dict.fromkeys(ids))):
        rows = session.connection().execute(_by_ids(live=live), {"ids": chunk}).all()
        # They have a row's columns, and none of what the ORM keeps of rows it may have to write.
        read = cast("Sequence[EntryRow]", rows)
        found.update((entry.id, entry) for entry in _with_offers(session, read))
    return {id_: found[id_] for id_ in ids if id_ in found}


@cache
def _by_ids(*, live: bool) -> Select[Any]:
    """Build the query once: building it takes longer than the database does to answer."""
    table = cast("Table", getattr(EntryRow, "__table__"))  # noqa: B009  # untyped in SQLModel
    query = core_select(table).where(col(EntryRow.id).in_(bindparam("ids", expanding=True)))
    return query.where(_is_live()) if live else query


def list_page(
    session: Session,
    *,
    kind: EntryKind | None,
    server: ServerName | None,
    live: bool,
    text: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Entry]:
    """List entries by kind and name; a cursor is the id of the last one seen."""
    query = select(EntryRow)
    if kind is not None:
        query = query.where(EntryRow.kind == kind.value)
    if server is not None:
        query = query.where(EntryRow.server == server)
    if live:
        query = query.where(_is_live())
    if text:
        query = query.where(_contains(text))
    rows = session.exec(_after(query, cursor).limit(limit + 1)).all()
    items = tuple(_with_offers(session, rows[:limit]))
    return Page(items, items[-1].id if len(rows) > limit else None)


def near_names(session: Session, kind: EntryKind, name: str, *, limit: int) -> tuple[str, ...]:
    """Pick the names of that kind nearest to ``name``."""
    # As stored, unescaped only where chosen: half the time at 20,000 names.
    stored = type_coerce(col(EntryRow.name), Text)
    query = select(stored).where(EntryRow.kind == kind.value)
    names = session.connection().execute(query).scalars().all()
    return tuple(restored(one) for one in near(storable(name), names, limit=limit))


def hashes(session: Session, server: ServerName) -> dict[EntryId, str]:
    """Give the content hash of each entry of a server."""
    query = select(EntryRow.id, EntryRow.content_hash).where(EntryRow.server == server)
    return {EntryId(id_): content_hash for id_, content_hash in session.exec(query)}


def withheld(session: Session, server: ServerName) -> tuple[tuple[EntryKind, str], ...]:
    """Name what a server owns that is disabled or quarantined, as it names it."""
    quarantined = col(EntryRow.trust) == Trust.QUARANTINED.value
    hidden = or_(col(EntryRow.enabled).is_(False), quarantined)
    query = select(EntryRow.kind, EntryRow.local_name).where(EntryRow.server == server, hidden)
    return tuple((EntryKind(kind), str(name)) for kind, name in session.exec(query))


def hashes_by_server(
    session: Session, names: Sequence[ServerName] | None
) -> dict[ServerName, dict[EntryId, str]]:
    """Give the content hash of each owned entry, by its server: of these servers, or of all."""
    query = select(EntryRow.server, EntryRow.id, EntryRow.content_hash)
    owned: dict[ServerName, dict[EntryId, str]] = {}
    wanted = [col(EntryRow.server).is_not(None)]
    if names is not None:
        wanted = [col(EntryRow.server).in_(chunk) for chunk in chunks(names)]
    for these in wanted:
        for server, id_, content_hash in session.exec(query.where(these)):
            owned.setdefault(ServerName(str(server)), {})[EntryId(id_)] = content_hash
    return owned


def live_revisions(session: Session) -> dict[EntryId, Revision]:
    """Give each live entry with the change that last touched it, off an index alone."""
    query = select(EntryRow.id, EntryRow.revision).where(_is_live())
    return {EntryId(id_): Revision(revision) for id_, revision in session.exec(query)}


def set_enabled(
    session: Session, kind: EntryKind, name: str, *, enabled: bool, actor: str
) -> Change | None:
    """Switch an entry on or off, with a change unless it is so already.

    Raises:
        NotFound: with near names.
    """
    log = ChangeLog(session, actor=actor)
    subject = entry_id(kind, name)
    row = session.exec(select(EntryRow).where(EntryRow.id == subject)).first()
    if row is None:
        raise absent(session, kind, name)
    if row.enabled is enabled:
        return None
    owner = None if row.server is None else ServerName(row.server)
    bodies: dict[str, Any] = {"before": {"enabled": not enabled}, "after": {"enabled": enabled}}
    change = log.note(switched(enabled=enabled), subject, server=owner, **bodies)
    values = {"enabled": enabled, "revision": change.revision}
    session.exec(update(EntryRow).where(col(EntryRow.id) == subject).values(**values))
    log.close()
    return change


def _with_offers(session: Session, rows: Sequence[EntryRow]) -> list[Entry]:
    models = [row.id for row in rows if row.kind == EntryKind.MODEL]
    offers: dict[str, list[OfferRow]] = defaultdict(list)
    for chunk in chunks(models):
        for offer in session.exec(select(OfferRow).where(col(OfferRow.entry_id).in_(chunk))):
            offers[offer.entry_id].append(offer)
    return [entry_from(row, offers.get(row.id, ())) for row in rows]


def _is_live() -> ColumnElement[bool]:
    # One look-up for each entry; a list of all live servers costs 1.3 ms at 2,000 of them.
    serving = exists().where(
        col(ServerRow.name) == col(EntryRow.server), col(ServerRow.enabled).is_(True)
    )
    owned_by_live = or_(col(EntryRow.server).is_(None), serving)
    trusted = col(EntryRow.trust) != Trust.QUARANTINED.value
    return col(EntryRow.enabled).is_(True) & trusted & owned_by_live


def _contains(text: str) -> ColumnElement[bool]:
    wanted = storable(text).lower()
    looked_at = (EntryRow.name, EntryRow.title, EntryRow.description)
    return or_(*(func.lower(col(one)).contains(wanted, autoescape=True) for one in looked_at))


def _after(query: SelectOfScalar[EntryRow], cursor: str | None) -> SelectOfScalar[EntryRow]:
    place = tuple_(col(EntryRow.kind), col(EntryRow.name))
    if cursor is not None:
        try:
            kind, name = split_id(EntryId(cursor))
        except ValueError as error:
            raise InvalidInput(
                f"{cursor!r} is not a cursor of this listing. Pass one that a page gave, or none."
            ) from error
        query = query.where(place > tuple_(literal(kind.value, KeyText), literal(name, KeyText)))
    return query.order_by(col(EntryRow.kind), col(EntryRow.name))
