"""Entries of every kind, to read: tools, prompts, resources and models side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from toolcrib_registry import wire
from toolcrib_registry.types import EntryKind, Revision, ServerName
from toolcrib_server.rest.deps import Admin, Parts, SeenRevision, User
from toolcrib_server.rest.mapping.entries import entry_out

router = APIRouter(prefix="/entries", tags=["entries"])


@router.get("", summary="List entries, by kind and name")
async def list_entries(
    parts: Parts,
    _: User,
    kind: EntryKind | None = None,
    server: wire.Text | None = None,
    text: wire.Text | None = None,
    cursor: wire.Text | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> wire.PageOut[wire.EntryOut]:
    """``text`` keeps those that hold it in name, title or description, in any case."""
    page = await parts.in_thread(
        parts.store.list_entries,
        kind=kind,
        server=ServerName(server) if server is not None else None,
        text=text,
        cursor=cursor,
        limit=limit,
    )
    stale = await parts.in_thread(parts.store.stale_servers)
    items = [entry_out(entry, stale=stale) for entry in page.items]
    return wire.PageOut(items=items, next_cursor=page.next_cursor)


@router.post("/{kind}/{name:path}/approve", summary="Trust an entry as it stands")
async def approve_entry(
    parts: Parts,
    admin: Admin,
    kind: EntryKind,
    name: wire.Text,
    revision: SeenRevision = None,
) -> wire.EntryOut:
    """What it says now is pinned, and its marks are cleared; a quarantined one is found again.

    With the ``revision`` that you looked at, only if it is still that one: else 409.
    """
    seen = None if revision is None else Revision(revision)
    await parts.in_thread(parts.store.approve, kind, name, actor=admin.actor, seen=seen)
    await parts.indexer.catch_up()
    entry = await parts.in_thread(parts.store.get_entry, kind, name)
    stale = await parts.in_thread(parts.store.stale_servers)
    return entry_out(entry, whole=True, stale=stale)


@router.get("/{kind}/{name:path}", summary="Read an entry")
async def get_entry(parts: Parts, _: User, kind: EntryKind, name: wire.Text) -> wire.EntryOut:
    """With the object that its server listed, untouched."""
    entry = await parts.in_thread(parts.store.get_entry, kind, name)
    stale = await parts.in_thread(parts.store.stale_servers)
    return entry_out(entry, whole=True, stale=stale)
