"""The store's face: each method is one unit of work, committed whole or not at all.

Knows which noun does what; the work itself is in the modules beside it. No row leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlmodel import func, select

from toolcrib_registry.errors import EntryGone, InvalidInput, NotFound
from toolcrib_registry.tables import EntryRow, ServerRow
from toolcrib_registry.types import (
    CallRecord,
    Change,
    ChangeAction,
    Counts,
    Entry,
    EntryChanges,
    EntryId,
    EntryKind,
    Forgotten,
    Learned,
    Lease,
    Mark,
    Model,
    Outcome,
    OwnedEntry,
    Page,
    Revision,
    Server,
    ServerHealth,
    ServerName,
    ServerWrite,
    Tombstone,
    Trust,
    Vectors,
    entry_id,
)

from . import (
    calls,
    catalogue,
    embeddings,
    entries,
    leases,
    log,
    outcomes,
    reconcile,
    servers,
    trust,
)
from .database import Database
from .needs import NeedRecords
from .pacing import PaceRecords
from .routing import RoutingRecords
from .spending import SpendingRecords
from .views import ViewRecords
from .written import WrittenRecords

_MAX_LIMIT = 1_000_000
_ITER_PAGE = 2_000

T = TypeVar("T")


class Store:
    """The registry's database. Safe to share between threads; every method blocks.

    Any method raises a `StoreError` when the database fails, and has then changed nothing; a
    listing raises `InvalidInput` for a limit that makes no sense. The schema must be current: open
    a store through `toolcrib_migrations.open_store`.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = 5.0) -> None:
        self._database = Database(url, busy_timeout_s=busy_timeout_s)
        self.routing = RoutingRecords(self._database)
        """What routing learns from."""
        self.views = ViewRecords(self._database)
        """Saved subsets of the registry."""
        self.written = WrittenRecords(self._database)
        """What a model wrote for search."""
        self.spending = SpendingRecords(self._database)
        """What keys have spent on models."""
        self.paces = PaceRecords(self._database)
        """How often something was done lately."""
        self.needs = NeedRecords(self._database)
        """What is learned from, and not learned, of tools that need each other."""

    def close(self) -> None:
        """Close the connections. A store that is used again opens new ones."""
        self._database.close()

    def head(self) -> Revision:
        """Give the revision of the last committed change."""
        with self._database.reading() as session:
            return log.head(session)

    def counts(self) -> Counts:
        """Count what the registry holds, all at one revision."""
        by_kind = select(EntryRow.kind, func.count()).group_by(EntryRow.kind)
        with self._database.reading() as session:
            return Counts(
                servers=session.exec(select(func.count()).select_from(ServerRow)).one(),
                entries={EntryKind(kind): count for kind, count in session.exec(by_kind)},
                embeddings=embeddings.count(session),
                head=log.head(session),
            )

    # --- servers ---------------------------------------------------------------------------

    def add_server(self, server: Server, *, actor: str) -> Server:
        """Register a server and give it back as stored.

        Raises:
            AlreadyExists: the name is taken.
        """
        with self._database.writing() as session:
            return servers.add(session, server, actor=actor)

    def update_server(self, server: Server, *, actor: str) -> Server:
        """Replace the settings of the server of that name; its health and age stay.

        Nothing is written when nothing differs.

        Raises:
            NotFound: no such server; near names are offered.
        """
        with self._database.writing() as session:
            return servers.change(session, server, actor=actor)

    def remove_server(self, name: ServerName, *, actor: str) -> tuple[Change, ...]:
        """Remove a server with all it owns; its own change is the last.

        Raises:
            NotFound: no such server; near names are offered.
        """
        with self._database.writing() as session:
            return servers.remove(session, name, actor=actor)

    def get_server(self, name: ServerName) -> Server:
        """Get a server.

        Raises:
            NotFound: no such server; near names are offered.
        """
        with self._database.reading() as session:
            return servers.get(session, name)

    def find_server(self, name: ServerName) -> Server | None:
        """Find a server."""
        with self._database.reading() as session:
            return servers.find(session, name)

    def find_servers(self, names: Sequence[ServerName]) -> dict[ServerName, Server]:
        """Find any number of servers; absent ones are left out."""
        with self._database.reading() as session:
            return servers.find_many(session, names)

    def list_servers(self, *, cursor: str | None = None, limit: int = 1000) -> Page[Server]:
        """List servers by name."""
        with self._database.reading() as session:
            return servers.list_page(session, cursor=cursor, limit=_checked(limit))

    def iter_servers(self) -> Iterator[Server]:
        """Give every server, by name, read a page at a time."""
        return _all(self.list_servers)

    def enabled_servers(self) -> tuple[ServerName, ...]:
        """Give the names of the enabled servers, in order."""
        with self._database.reading() as session:
            return servers.enabled_names(session)

    def sync_plans(self) -> dict[ServerName, datetime | None]:
        """Give each enabled server that can be asked, by name, with when that is due."""
        with self._database.reading() as session:
            return servers.sync_plans(session)

    def stale_servers(self) -> dict[ServerName, datetime]:
        """Give the servers of which only old entries are left, with when each last answered."""
        with self._database.reading() as session:
            return servers.stale(session)

    # --- leases ----------------------------------------------------------------------------

    def acquire_leases(
        self, names: Sequence[ServerName], *, holder: str, ttl_s: float
    ) -> dict[ServerName, Lease]:
        """Take the right to write what servers list; those that another holds are left out."""
        with self._database.writing() as session:
            return leases.acquire(session, names, holder=holder, ttl_s=ttl_s)

    def renew_leases(self, held: Sequence[Lease], *, ttl_s: float) -> dict[ServerName, Lease]:
        """Put off the end of leases; those that were lost are left out."""
        with self._database.writing() as session:
            return leases.renew(session, held, ttl_s=ttl_s)

    def list_leases(self) -> tuple[Lease, ...]:
        """List the leases that somebody holds now, by server."""
        with self._database.reading() as session:
            return leases.list_held(session)

    def release_leases(self, held: Sequence[Lease]) -> None:
        """Give leases back; those that were lost are passed over."""
        with self._database.writing() as session:
            leases.release(session, held)

    # --- entries ---------------------------------------------------------------------------

    def get_entry(self, kind: EntryKind, name: str) -> Entry:
        """Get an entry.

        Raises:
            EntryGone: it was removed; what replaced it is named.
            NotFound: no such entry; near names are offered.
        """
        with self._database.reading() as session:
            return entries.get(session, kind, name)

    def find_entry(self, kind: EntryKind, name: str) -> Entry | None:
        """Find an entry."""
        with self._database.reading() as session:
            return entries.find(session, kind, name)

    def find_owned(self, kind: EntryKind, server: ServerName, local_name: str) -> OwnedEntry | None:
        """Find an entry by its server and its name there (its URI, for a resource)."""
        with self._database.reading() as session:
            return entries.find_owned(session, kind, server, local_name)

    def get_named(self, name: str) -> Entry:
        """Get an entry by its name alone; a tool before any other kind.

        Raises:
            EntryGone: it was removed; what replaced it is named.
            NotFound: no such entry; near names of tools are offered.
        """
        found = (self.find_entry(kind, name) for kind in EntryKind)
        entry = next((entry for entry in found if entry), None)
        if entry is None:
            raise self._gone(name) or NotFound(
                "entry", name, near=self.near_names(EntryKind.TOOL, name)
            )
        return entry

    def _gone(self, name: str) -> EntryGone | None:
        with self._database.reading() as session:
            each = (entries.find_gone(session, kind, name) for kind in EntryKind)
            return next((gone for gone in each if gone), None)

    def get_entries(self, ids: Sequence[EntryId], *, live: bool = False) -> dict[EntryId, Entry]:
        """Get any number of entries, in the order asked; absent ones are left out.

        With ``live``, so are those that are disabled or whose server is.
        """
        with self._database.reading() as session:
            return entries.find_many(session, ids, live=live)

    def list_entries(
        self,
        *,
        kind: EntryKind | None = None,
        server: ServerName | None = None,
        live: bool = False,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Entry]:
        """List entries by kind, then name.

        ``text`` is a part of the name, title or description, in any letter case.

        Raises:
            InvalidInput: the cursor is not one of this listing.
        """
        with self._database.reading() as session:
            return entries.list_page(
                session,
                kind=kind,
                server=server,
                live=live,
                text=text,
                cursor=cursor,
                limit=_checked(limit),
            )

    def iter_entries(self, *, kind: EntryKind | None = None, live: bool = False) -> Iterator[Entry]:
        """Give every entry, by kind and name, read a page at a time."""
        return _all(partial(self.list_entries, kind=kind, live=live, limit=_ITER_PAGE))

    def near_names(self, kind: EntryKind, name: str, *, limit: int = 5) -> tuple[str, ...]:
        """Pick the names nearest to one that may not exist, the nearest first."""
        with self._database.reading() as session:
            return entries.near_names(session, kind, name, limit=limit)

    def entry_hashes(self, server: ServerName) -> dict[EntryId, str]:
        """Give the content hash of each entry of a server. Cheap: some 50 ms for 20,000."""
        with self._database.reading() as session:
            return entries.hashes(session, server)

    def withheld(self, server: ServerName) -> tuple[tuple[EntryKind, str], ...]:
        """Give kind and local name of what is disabled or quarantined of a server's entries."""
        with self._database.reading() as session:
            return entries.withheld(session, server)

    def hashes_by_server(
        self, names: Sequence[ServerName] | None = None
    ) -> dict[ServerName, dict[EntryId, str]]:
        """Give the content hash of every entry that these servers own, or any, in one pass."""
        with self._database.reading() as session:
            return entries.hashes_by_server(session, names)

    def live_revisions(self) -> dict[EntryId, Revision]:
        """Give every entry that search should know, with the change that last touched it."""
        with self._database.reading() as session:
            return entries.live_revisions(session)

    def apply(
        self,
        changes: EntryChanges,
        *,
        actor: str,
        health: ServerHealth | None = None,
        vectors: Vectors | None = None,
        lease: Lease | None = None,
    ) -> tuple[Change, ...]:
        """Bring what a sync found of a server to the registry; see `apply_many`."""
        write = ServerWrite(changes=changes, health=health, lease=lease)
        return self.apply_many([write], actor=actor, vectors=vectors)

    def apply_many(
        self, writes: Sequence[ServerWrite], *, actor: str, vectors: Vectors | None = None
    ) -> tuple[Change, ...]:
        """Write what syncs found: entries, vectors, changes and health, in one transaction.

        An updated entry keeps whether it is enabled, its age, and its tags unless it brings some;
        a renamed one keeps them of what it was.
        An upsert whose content hash is stored already writes nothing; an empty hash is filled in.
        An id in both parts is an upsert; removals of what the server does not own are ignored.

        Raises:
            LeaseLost: another process has taken over a server; nothing is changed.
            NotFound: no such server.
            AlreadyExists: a name belongs to another server, or comes twice; nothing is changed.
            InvalidInput: an entry names another server as its owner.
        """
        with self._database.writing() as session:
            return reconcile.apply(session, writes, actor=actor, vectors=vectors)

    def add_catalogues(
        self, catalogues: Sequence[Server], changes: Sequence[EntryChanges], *, actor: str
    ) -> tuple[Change, ...]:
        """Register servers and bring changes to these and others, all in one transaction.

        Every server in ``changes`` must be one of ``catalogues`` or registered.

        Raises:
            AlreadyExists: a server's or an entry's name is taken; nothing is changed.
            InvalidInput: as `apply`.
        """
        with self._database.writing() as session:
            servers.add_all(session, catalogues, actor=actor)
            return reconcile.apply_all(session, changes, actor=actor)

    def set_entry_enabled(
        self, kind: EntryKind, name: str, *, enabled: bool, actor: str
    ) -> Change | None:
        """Switch an entry on or off; None when it is so already.

        Raises:
            NotFound: no such entry; near names are offered.
        """
        with self._database.writing() as session:
            return entries.set_enabled(session, kind, name, enabled=enabled, actor=actor)

    def approve(
        self, kind: EntryKind, name: str, *, actor: str, seen: Revision | None = None
    ) -> Change | None:
        """Trust an entry as it stands, and pin it; None when there is nothing to approve.

        ``seen``: the revision of the entry that was shown to whoever approves.

        Raises:
            NotFound: no such entry; near names are offered.
            EntryChanged: it is no longer what was seen.
        """
        with self._database.writing() as session:
            return trust.approve(session, kind, name, actor=actor, seen=seen)

    def set_marks(
        self,
        judged: Mapping[EntryId, tuple[Trust, tuple[Mark, ...]]],
        *,
        actor: str,
        seen: Mapping[EntryId, Revision] | None = None,
    ) -> tuple[Change, ...]:
        """Write what a scan finds of entries; absent ones are passed over.

        So is what is no longer at the revision that was ``seen`` when it was judged.
        """
        with self._database.writing() as session:
            return trust.set_marks(session, judged, actor=actor, seen=seen or {})

    # --- models ----------------------------------------------------------------------------

    def add_model(self, model: Model, *, actor: str) -> Model:
        """Add a model and give it back as stored.

        Raises:
            AlreadyExists: the name is taken.
        """
        with self._database.writing() as session:
            return catalogue.add(session, model, actor=actor)

    def put_model(self, model: Model, *, actor: str) -> Change | None:
        """Add a model, or replace the one of that name; None when nothing differs.

        A replaced model keeps its age and whether it is enabled: see `set_entry_enabled`.
        """
        return next(iter(self.put_models([model], actor=actor)), None)

    def put_models(self, models: Sequence[Model], *, actor: str) -> tuple[Change, ...]:
        """Add or replace many models in one transaction."""
        with self._database.writing() as session:
            return catalogue.put(session, models, actor=actor)

    def remove_model(self, name: str, *, actor: str) -> Change:
        """Remove a model with its offers.

        Raises:
            NotFound: no such model; near names are offered.
        """
        with self._database.writing() as session:
            return catalogue.remove(session, name, actor=actor)

    # --- the change log --------------------------------------------------------------------

    def list_changes(
        self,
        *,
        since: Revision = Revision(0),
        limit: int = 1000,
        server: ServerName | None = None,
        subject: str | None = None,
        most_bytes: int | None = None,
    ) -> tuple[Change, ...]:
        """List the changes after revision ``since``, oldest first.

        ``most_bytes``: fewer of them where their definitions come to more, but one at least.
        """
        with self._database.reading() as session:
            return log.list_changes(
                session,
                since=since,
                limit=_checked(limit),
                server=server,
                subject=subject,
                most_bytes=most_bytes,
            )

    def list_subjects(
        self, *, since: Revision = Revision(0), limit: int = 1000
    ) -> tuple[tuple[Revision, str], ...]:
        """Name whom the changes after revision ``since`` are about, oldest first.

        Costs a tenth of `list_changes`, which reads their definitions.
        """
        with self._database.reading() as session:
            return log.list_subjects(session, since=since, limit=_checked(limit))

    def last_changes(
        self,
        *,
        since: Revision = Revision(0),
        limit: int = 1000,
        server: ServerName | None = None,
        subject: str | None = None,
        actions: Collection[ChangeAction] = (),
        until: Revision | None = None,
        most_bytes: int | None = None,
    ) -> tuple[Change, ...]:
        """List the last changes after revision ``since``, oldest first.

        ``actions``: only these. ``until``: none after that revision. ``most_bytes``: as in
        `list_changes`; the last ones are kept.
        """
        with self._database.reading() as session:
            return log.last_changes(
                session,
                since=since,
                limit=_checked(limit),
                server=server,
                subject=subject,
                actions=actions,
                until=until,
                most_bytes=most_bytes,
            )

    def count_changes(self, *, since: Revision = Revision(0)) -> dict[ChangeAction, int]:
        """Count the changes after revision ``since`` by what happened; absent is none."""
        with self._database.reading() as session:
            return log.count_changes(session, since=since)

    def find_tombstone(self, kind: EntryKind, name: str) -> Tombstone | None:
        """Find what is left of an entry that was removed and is not there again."""
        with self._database.reading() as session:
            return log.find_tombstone(session, entry_id(kind, name))

    # --- the embedding cache ---------------------------------------------------------------

    def get_embeddings(self, encoder_id: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Get the vectors of texts by hash, as they were put; absent ones are left out."""
        with self._database.reading() as session:
            return embeddings.find_many(session, encoder_id, hashes)

    def put_embeddings(self, encoder_id: str, vectors: Mapping[str, bytes]) -> None:
        """Store the vectors of texts by hash."""
        with self._database.writing() as session:
            embeddings.put(session, encoder_id, vectors)

    def prune_embeddings(
        self, encoder_id: str, keep: Collection[str], *, token_id: str | None = None
    ) -> int:
        """Drop the vectors of other encoders and of texts not in ``keep``; say how many.

        ``token_id`` is the name under which token vectors are kept too.
        """
        with self._database.writing() as session:
            return embeddings.prune(session, {encoder_id, token_id or encoder_id}, keep)

    # --- the audit -------------------------------------------------------------------------

    def record_calls(self, records: Sequence[CallRecord]) -> None:
        """Add audit records."""
        with self._database.writing() as session:
            calls.record(session, records)

    def list_calls(
        self,
        *,
        kind: EntryKind | None = None,
        since: datetime | None = None,
        principal: str | None = None,
        limit: int = 100,
    ) -> tuple[CallRecord, ...]:
        """List the latest audit records, newest first: of a kind, of a principal, from a time."""
        with self._database.reading() as session:
            return calls.list_latest(
                session, kind=kind, since=since, principal=principal, limit=_checked(limit)
            )

    def list_call_ids(self, *, kind: EntryKind, since: datetime, limit: int) -> tuple[str, ...]:
        """List the ids of the latest audit records of a kind from a time on, newest first."""
        with self._database.reading() as session:
            return calls.list_ids(session, kind=kind, since=since, limit=_checked(limit))

    def get_calls(self, ids: Sequence[str]) -> tuple[CallRecord, ...]:
        """Get audit records by id, newest first; absent ones are left out."""
        with self._database.reading() as session:
            return calls.find_many(session, ids)

    # --- learning from use -----------------------------------------------------------------

    def record_outcomes(self, records: Sequence[Outcome], *, keep: int = 100_000) -> None:
        """Add outcomes; of each tenant named by them, the latest ``keep`` stay."""
        with self._database.writing() as session:
            outcomes.record(session, records, keep=_checked(keep))

    def list_outcomes(
        self,
        *,
        tenant: str | None = None,
        since: datetime | None = None,
        cursor: str | None = None,
        limit: int = 1000,
    ) -> Page[Outcome]:
        """List outcomes, the oldest first, from the time ``since`` on."""
        with self._database.reading() as session:
            return outcomes.list_page(
                session, tenant=tenant, since=since, cursor=cursor, limit=_checked(limit)
            )

    def iter_outcomes(
        self, *, tenant: str | None = None, since: datetime | None = None
    ) -> Iterator[Outcome]:
        """Iterate over outcomes, the oldest first, in pages."""
        return _all(partial(self.list_outcomes, tenant=tenant, since=since, limit=_ITER_PAGE))

    def count_outcomes(self) -> dict[str, int]:
        """Count the outcomes of each tenant."""
        with self._database.reading() as session:
            return outcomes.count(session)

    def latest_outcome(self, tenant: str) -> datetime | None:
        """Tell when a tenant's latest outcome was; None when it has none."""
        with self._database.reading() as session:
            return outcomes.latest(session, tenant)

    def forget_outcomes(
        self,
        *,
        tenant: str | None = None,
        principal: str | None = None,
        before: datetime | None = None,
    ) -> Forgotten:
        """Drop the outcomes that fit all that is given, with what was learned from them.

        The vectors of their queries go too, where no other outcome has the same query.

        Raises:
            InvalidInput: nothing is given; say which ones.
        """
        with self._database.writing() as session:
            return outcomes.forget(session, tenant=tenant, principal=principal, before=before)

    def forget_vectors(self, queries: Sequence[str]) -> None:
        """Drop the vectors of those queries that no outcome has."""
        with self._database.writing() as session:
            outcomes.forget_vectors(session, queries)

    def find_learned(self, tenant: str, encoder_id: str) -> Learned | None:
        """Find what was learned from a tenant's outcomes with an encoder."""
        with self._database.reading() as session:
            return outcomes.find_learned(session, tenant, encoder_id)

    def put_learned(self, learned: Learned) -> None:
        """Store what was learned, in place of what was learned before."""
        with self._database.writing() as session:
            outcomes.put_learned(session, learned)


def _checked(limit: int) -> int:
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidInput(f"A limit of {limit} is not possible: give 1 to {_MAX_LIMIT}.")
    return limit


def _all(list_page: Callable[..., Page[T]]) -> Iterator[T]:
    cursor: str | None = None
    while True:
        page = list_page(cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
