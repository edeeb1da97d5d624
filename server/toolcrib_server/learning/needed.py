"""What one tool needs and how that is known, for a person to read: declared, from use, by schemas.

Blocks; reads the tools of one server from the store, no index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolcrib_registry.store import Store
from toolcrib_registry.types import Entry, EntryKind, NeedSource, OwnedEntry, Tool, split_id

if TYPE_CHECKING:
    from toolcrib_embeddings import Document
    from toolcrib_embeddings.ranking.companions import Companions


@dataclass(frozen=True, slots=True)
class Needed:
    """A tool that another one needs."""

    name: str
    how: NeedSource
    why: str = ""


def tell_needs(store: Store, entry: Entry, companions: Companions) -> tuple[Needed, ...]:
    """Tell what a search that finds the entry may bring along, the surest first."""
    from toolcrib_embeddings.indexing.roster import Roster  # noqa: PLC0415  # the same
    from toolcrib_embeddings.ranking.companions import needs_of  # noqa: PLC0415  # slow to import

    if not isinstance(entry, Tool):
        return ()
    roster = Roster.empty().after(list(_documents(store, entry, companions)), ()).roster
    row = roster.rows.get(entry.id)
    if row is None:
        return ()
    declared = (roster.find_named(name, near=row) for name in roster.label(row).depends_on)
    found = {one: (NeedSource.DECLARED, "") for one in declared if one not in {None, row}}
    for one in needs_of(row, roster, companions):
        found.setdefault(one.row, (one.how, one.why))
    return tuple(
        Needed(split_id(roster.ids[at])[1], *how) for at, how in found.items() if at is not None
    )


def _documents(store: Store, entry: Tool, companions: Companions) -> Iterator[Document]:
    from toolcrib_embeddings import render_document  # noqa: PLC0415  # slow to import
    from toolcrib_embeddings.documents.needs_links import names_abroad  # noqa: PLC0415  # the same

    own = [*_tools_of(store, entry)]
    yield from map(render_document, own)
    known = {one.id for one in own}
    used = [one.entry for one in companions.used.get(entry.id, ())]
    yield from (
        render_document(one)
        for one in store.get_entries(used, live=True).values()
        if one.id not in known
    )
    if entry.source_id is None:
        return
    rendered = render_document(entry)
    named = {*rendered.depends_on, *(name for name, _ in names_abroad(rendered.facts))}
    for name in sorted(named):
        page = store.list_entries(kind=EntryKind.TOOL, live=True, text=name, limit=100)
        yield from (
            render_document(one)
            for one in page.items
            if isinstance(one, OwnedEntry) and one.server != entry.server and one.source_id
        )


def _tools_of(store: Store, entry: Tool) -> Iterator[Entry]:
    cursor: str | None = None
    while True:
        page = store.list_entries(
            kind=EntryKind.TOOL, server=entry.server, live=True, cursor=cursor, limit=1_000
        )
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
