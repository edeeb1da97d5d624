"""Tools: read, switch on and off; add to and remove from catalogues."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import AlreadyExists, NotPermitted
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    EntryChanges,
    EntryKind,
    Revision,
    ServerName,
    Tool,
)
from toolcrib_server.rest.deps import Admin, Deps, Parts, SeenRevision, User
from toolcrib_server.rest.mapping.entries import tool_from, tool_out

router = APIRouter(prefix="/tools", tags=["tools"])


@router.get("", summary="List tools, by name")
async def list_tools(
    parts: Parts,
    _: User,
    server: wire.Text | None = None,
    text: wire.Text | None = None,
    cursor: wire.Text | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> wire.PageOut[wire.ToolOut]:
    """``text`` keeps those that hold it in name, title or description, in any case."""
    page = await parts.in_thread(
        parts.store.list_entries,
        kind=EntryKind.TOOL,
        server=ServerName(server) if server is not None else None,
        text=text,
        cursor=cursor,
        limit=limit,
    )
    stale = await parts.in_thread(parts.store.stale_servers)
    tools = [tool_out(entry, stale=stale) for entry in page.items if isinstance(entry, Tool)]
    return wire.PageOut(items=tools, next_cursor=page.next_cursor)


@router.post("", status_code=201, summary="Add a tool to a catalogue")
async def add_tool(
    parts: Parts, admin: Admin, given: wire.ToolIn, response: Response
) -> wire.ToolOut:
    """It is findable at once. Other servers list their tools themselves."""
    tool = await parts.in_thread(_add, parts.store, given, admin.actor)
    await parts.indexer.catch_up()
    response.headers["Location"] = f"/api/v1/tools/{tool.name}"
    return tool_out(tool, whole=True)


@router.get("/{name}", summary="Read a tool")
async def get_tool(parts: Parts, _: User, name: wire.Text) -> wire.ToolOut:
    """With the object that its server listed, untouched."""
    tool = await parts.in_thread(_get, parts.store, name)
    return tool_out(tool, whole=True, stale=await parts.in_thread(parts.store.stale_servers))


@router.delete("/{name}", status_code=204, summary="Remove a tool from a catalogue")
async def remove_tool(parts: Parts, admin: Admin, name: wire.Text) -> None:
    """Tools that a live server lists cannot be removed; they can be switched off."""
    await parts.in_thread(_remove, parts.store, name, admin.actor)
    await parts.indexer.catch_up()


@router.post("/{name}/enable", summary="Switch a tool on")
async def enable_tool(parts: Parts, admin: Admin, name: wire.Text) -> wire.ToolOut:
    """It can be found and called again."""
    return await _switch(parts, name, enabled=True, actor=admin.actor)


@router.post("/{name}/disable", summary="Switch a tool off")
async def disable_tool(parts: Parts, admin: Admin, name: wire.Text) -> wire.ToolOut:
    """It is kept, but neither found nor called."""
    return await _switch(parts, name, enabled=False, actor=admin.actor)


@router.post("/{name}/approve", summary="Trust a tool as it stands")
async def approve_tool(
    parts: Parts, admin: Admin, name: wire.Text, revision: SeenRevision = None
) -> wire.ToolOut:
    """What it says now is pinned, and its marks are cleared; a quarantined one is found again.

    Undone by ``disable``. Give the ``revision`` that you looked at: if the tool has changed since,
    nothing is approved, and the answer is 409 ``entry-changed``.
    """
    seen = None if revision is None else Revision(revision)
    await parts.in_thread(parts.store.approve, EntryKind.TOOL, name, actor=admin.actor, seen=seen)
    await parts.indexer.catch_up()
    return tool_out(await parts.in_thread(_get, parts.store, name), whole=True)


async def _switch(parts: Deps, name: str, *, enabled: bool, actor: str) -> wire.ToolOut:
    await parts.in_thread(
        parts.store.set_entry_enabled, EntryKind.TOOL, name, enabled=enabled, actor=actor
    )
    await parts.indexer.catch_up()
    return tool_out(await parts.in_thread(_get, parts.store, name), whole=True)


def _get(store: Store, name: str) -> Tool:
    entry = store.get_entry(EntryKind.TOOL, name)
    assert isinstance(entry, Tool)
    return entry


def _add(store: Store, given: wire.ToolIn, actor: str) -> Tool:
    server = store.get_server(ServerName(given.server))
    if server.callable:
        raise NotPermitted(
            f"Server {server.name!r} lists its tools itself. Tools are added by hand only to a "
            "server of type 'catalog'."
        )
    tool = tool_from(given, server=server.name)
    if store.find_entry(EntryKind.TOOL, tool.name) is not None:
        raise AlreadyExists("tool", tool.name)
    store.apply(EntryChanges(server=server.name, upserts=(tool,)), actor=actor)
    return _get(store, tool.name)


def _remove(store: Store, name: str, actor: str) -> None:
    tool = _get(store, name)
    if store.get_server(tool.server).callable:
        raise NotPermitted(
            f"Tool {name!r} belongs to server {tool.server!r}, which lists it itself: it would "
            "come back with the next sync. Switch it off instead."
        )
    store.apply(EntryChanges(server=tool.server, removals=(tool.id,)), actor=actor)
