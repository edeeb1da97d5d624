"""Views: saved subsets of the registry, each served as a server of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.types import Revision
from toolcrib_server.guard import Principal, Role
from toolcrib_server.rest.deps import Admin, Deps, Parts, SeenRevision, User
from toolcrib_server.rest.mapping.views import shown_out, view_out
from toolcrib_server.views.desk import ViewDesk
from toolcrib_server.views.documents import view_of

router = APIRouter(prefix="/views", tags=["views"])


@router.get("", summary="List views, by name")
async def list_views(
    parts: Parts,
    user: User,
    cursor: wire.Text | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> wire.PageOut[wire.ViewOut]:
    """Values of default and fixed arguments are shown to administrators alone."""
    page = await _desk(parts).list(cursor=cursor, limit=limit)
    items = [view_out(view, values=_may_see_values(user)) for view in page.items]
    return wire.PageOut(items=items, next_cursor=page.next_cursor)


@router.post("", status_code=201, summary="Save a new view")
async def add_view(
    parts: Parts, admin: Admin, given: wire.ViewIn, response: Response
) -> wire.ViewOut:
    """It is served at once, at ``/mcp/v/NAME``. One that could not be served is refused."""
    added = await _desk(parts).add(view_of(given), actor=admin.actor)
    await parts.indexer.catch_up()
    response.headers["Location"] = f"/api/v1/views/{added.name}"
    return view_out(added, values=True)


@router.get("/{name}", summary="Read a view")
async def get_view(parts: Parts, user: User, name: wire.Text) -> wire.ViewOut:
    """What it selects, and how it shows it."""
    return view_out(await _desk(parts).get(name), values=_may_see_values(user))


@router.get("/{name}/shown", summary="See what a client of a view is shown")
async def get_shown(parts: Parts, _: User, name: wire.Text) -> wire.ViewShownOut:
    """Its tools, what they take of a context, and what of the view does not hold any more."""
    return shown_out(await _desk(parts).show(name))


@router.put("/{name}", summary="Save a view, new or in the place of one")
async def put_view(
    parts: Parts,
    admin: Admin,
    name: wire.Text,
    given: wire.ViewIn,
    response: Response,
    revision: SeenRevision = None,
) -> wire.ViewOut:
    """The body is the whole view. With a revision, only if it is still that one. 201 when new."""
    if given.name != name:
        raise InvalidInput(f"The body names {given.name!r}, the path {name!r}: make them one.")
    seen = None if revision is None else Revision(revision)
    if await _desk(parts).find(name) is None:
        response.status_code = 201
    put = await _desk(parts).put(view_of(given), actor=admin.actor, seen=seen)
    await parts.indexer.catch_up()
    return view_out(put, values=True)


@router.delete("/{name}", status_code=204, summary="Remove a view")
async def remove_view(parts: Parts, admin: Admin, name: wire.Text) -> None:
    """Its tools stay. The change log keeps what was removed."""
    await _desk(parts).remove(name, actor=admin.actor)
    await parts.indexer.catch_up()


def _desk(parts: Deps) -> ViewDesk:
    if parts.views is None:
        raise NotFound("part of this server", "views")
    return parts.views


def _may_see_values(user: Principal) -> bool:
    return user.role is Role.ADMIN
