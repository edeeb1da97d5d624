"""Entries of every kind, to read: tools, prompts, resources and models side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from toolcrib_registry import wire
from toolcrib_registry.types import EntryKind, ServerName
from toolcrib_server.rest.deps import Parts, User
from toolcrib_server.rest.mapping import entry_out

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
    return wire.PageOut(items=[entry_out(e) for e in page.items], next_cursor=page.next_cursor)


@router.get("/{kind}/{name:path}", summary="Read an entry")
async def get_entry(parts: Parts, _: User, kind: EntryKind, name: wire.Text) -> wire.EntryOut:
    """With the object that its server listed, untouched."""
    return entry_out(await parts.in_thread(parts.store.get_entry, kind, name), whole=True)
