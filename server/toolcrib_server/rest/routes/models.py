"""Models: register, read, replace, switch on and off, remove. Names may hold slashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import ChangeAction, EntryKind, Model
from toolcrib_server.catalog.own import model_of
from toolcrib_server.rest.deps import Admin, Deps, Parts, User
from toolcrib_server.rest.mapping.entries import model_out
from toolcrib_server.rest.offering import check_offers

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List models, by name")
async def list_models(
    parts: Parts,
    _: User,
    text: wire.Text | None = None,
    cursor: wire.Text | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> wire.PageOut[wire.ModelOut]:
    """``text`` keeps those that hold it in name, title or description, in any case."""
    page = await parts.in_thread(
        parts.store.list_entries, kind=EntryKind.MODEL, text=text, cursor=cursor, limit=limit
    )
    models = [model_out(entry) for entry in page.items if isinstance(entry, Model)]
    return wire.PageOut(items=models, next_cursor=page.next_cursor)


@router.post("", status_code=201, summary="Register a model")
async def add_model(
    parts: Parts, admin: Admin, given: wire.ModelIn, response: Response
) -> wire.ModelOut:
    """It is findable at once. A field that is left out is unknown, and fails every hard limit."""
    model = model_of(given, today=datetime.now(UTC).date())
    check_offers(parts, admin, model, stored=None)
    added = await parts.in_thread(parts.store.add_model, model, actor=admin.actor)
    await parts.indexer.catch_up()
    response.headers["Location"] = f"/api/v1/models/{quote(added.name)}"
    return model_out(added)


@router.post("/{name:path}/enable", summary="Switch a model on")
async def enable_model(parts: Parts, admin: Admin, name: wire.Text) -> wire.ModelOut:
    """It can be found and chosen again."""
    return await _switch(parts, name, enabled=True, actor=admin.actor)


@router.post("/{name:path}/disable", summary="Switch a model off")
async def disable_model(parts: Parts, admin: Admin, name: wire.Text) -> wire.ModelOut:
    """It is kept, but neither found nor chosen."""
    return await _switch(parts, name, enabled=False, actor=admin.actor)


@router.get("/{name:path}", summary="Read a model")
async def get_model(parts: Parts, _: User, name: wire.Text) -> wire.ModelOut:
    """What is known of it, with sources and dates, and who serves it."""
    return model_out(await parts.in_thread(_get, parts.store, name))


@router.put("/{name:path}", summary="Register or replace a model")
async def put_model(
    parts: Parts, admin: Admin, name: wire.Text, given: wire.ModelIn, response: Response
) -> wire.ModelOut:
    """The body is the whole model: what is left out becomes unknown. 201 when it is new."""
    if given.name != name:
        raise InvalidInput(f"The body names {given.name!r}, the path {name!r}: make them one.")
    model = model_of(given, today=datetime.now(UTC).date())
    stored = await parts.in_thread(parts.store.find_entry, EntryKind.MODEL, name)
    check_offers(parts, admin, model, stored=stored if isinstance(stored, Model) else None)
    change = await parts.in_thread(parts.store.put_model, model, actor=admin.actor)
    if change is not None and change.action is ChangeAction.ADDED:
        response.status_code = 201
    await parts.in_thread(
        parts.store.set_entry_enabled,
        EntryKind.MODEL,
        name,
        enabled=given.enabled,
        actor=admin.actor,
    )
    await parts.indexer.catch_up()
    return model_out(await parts.in_thread(_get, parts.store, name))


@router.delete("/{name:path}", status_code=204, summary="Remove a model")
async def remove_model(parts: Parts, admin: Admin, name: wire.Text) -> None:
    """The change log keeps what was removed."""
    await parts.in_thread(parts.store.remove_model, name, actor=admin.actor)
    await parts.indexer.catch_up()


async def _switch(parts: Deps, name: str, *, enabled: bool, actor: str) -> wire.ModelOut:
    await parts.in_thread(
        parts.store.set_entry_enabled, EntryKind.MODEL, name, enabled=enabled, actor=actor
    )
    await parts.indexer.catch_up()
    return model_out(await parts.in_thread(_get, parts.store, name))


def _get(store: Store, name: str) -> Model:
    entry = store.get_entry(EntryKind.MODEL, name)
    assert isinstance(entry, Model)
    return entry
