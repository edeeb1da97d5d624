"""What Toolcrib does: search, select, call, sync; and the log of what changed."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from toolcrib_registry import wire
from toolcrib_registry.types import EntryKind, Revision, ServerName
from toolcrib_server.rest.deps import Admin, Deps, Parts, User
from toolcrib_server.rest.mapping import (
    call_out,
    change_out,
    constraints_from,
    hit_out,
    report_out,
    selection_out,
)
from toolcrib_server.selection.models import Objective
from toolcrib_server.selection.selector import Answer

router = APIRouter(tags=["work"])

_CHARS_PER_TOKEN = 4
_MAX_REVISION = 2**63 - 1


@router.get("/search", summary="Find tools, prompts, resources and models for a task")
async def search_by_url(
    parts: Parts,
    _: User,
    query: Annotated[wire.Text, Query(min_length=1, max_length=10_000)],
    k: Annotated[int, Query(ge=1, le=1000)] = 5,
    kind: Annotated[list[EntryKind] | None, Query()] = None,
    server: Annotated[list[wire.Name] | None, Query()] = None,
    detail: Literal["name", "brief", "full"] = "brief",
    max_tokens: Annotated[int | None, Query(alias="maxTokens", ge=1, le=2**53)] = None,
) -> wire.SearchResults:
    """As ``POST /search``, for a browser or a shell; ``kind`` and ``server`` may be repeated."""
    return await _search(
        parts,
        wire.SearchQuery(
            query=query, k=k, kinds=kind, servers=server, detail=detail, max_tokens=max_tokens
        ),
    )


@router.post("/search", summary="Find tools, prompts, resources and models for a task")
async def search(parts: Parts, _: User, query: wire.SearchQuery) -> wire.SearchResults:
    """Best first; each hit says which signals found it. Disabled entries are never found."""
    return await _search(parts, query)


@router.post("/select", summary="Choose a model for a task, under hard limits")
async def select(parts: Parts, _: User, query: wire.SelectQuery) -> wire.SelectResults:
    """An unknown field never passes a limit; each exclusion names field, value, bound, source."""
    selection = await parts.models.select(
        query.task,
        constraints=constraints_from(query.constraints),
        objective=Objective(query.objective),
        k=query.k,
    )
    return selection_out(selection, max_exclusions=query.max_exclusions)


@router.post("/call", summary="Call a tool")
async def call(parts: Parts, user: User, given: wire.CallIn) -> wire.CallOut:
    """A tool that says it failed is an answer with ``isError``, not a problem."""
    started = time.monotonic()
    result = await parts.invoker.call(
        given.name,
        given.arguments,
        face="rest",
        principal=user.name,
        timeout_s=given.timeout_s,
    )
    return call_out(given.name, result, duration_ms=1000 * (time.monotonic() - started))


@router.post("/sync", summary="Sync servers now")
async def sync(parts: Parts, admin: Admin, given: wire.SyncIn | None = None) -> wire.SyncOut:
    """Waits until every named server, or every enabled one, is synced or has failed."""
    names = given.servers if given is not None else None
    reports = await parts.syncer.sync(
        [ServerName(name) for name in names] if names is not None else None, actor=admin.actor
    )
    return wire.SyncOut(reports=[report_out(report) for report in reports])


@router.get("/sync", summary="How far the registry and its index are")
async def sync_status(parts: Parts, _: User) -> wire.SyncStatusOut:
    """The index has caught up when both revisions are the same."""
    counts = await parts.in_thread(parts.store.counts)
    return wire.SyncStatusOut(
        revision=counts.head,
        index_revision=parts.indexer.revision,
        servers=counts.servers,
        entries={kind.value: number for kind, number in counts.entries.items()},
    )


@router.get("/changes", summary="What changed since a revision")
async def list_changes(
    parts: Parts,
    _: User,
    since: Annotated[int, Query(ge=0, le=_MAX_REVISION)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    server: wire.Text | None = None,
) -> wire.ChangesOut:
    """Oldest first. Ask on with ``since=next`` until ``items`` is empty."""
    changes = await parts.in_thread(
        parts.store.list_changes,
        since=Revision(since),
        limit=limit,
        server=ServerName(server) if server is not None else None,
    )
    items = [change_out(change) for change in changes]
    return wire.ChangesOut(items=items, next=items[-1].revision if items else since)


async def _search(parts: Deps, query: wire.SearchQuery) -> wire.SearchResults:
    answer = await parts.searcher.search(
        query.query,
        k=query.k,
        kinds=query.kinds,
        servers=None if query.servers is None else [ServerName(name) for name in query.servers],
    )
    return _within(answer, query)


def _within(answer: Answer, query: wire.SearchQuery) -> wire.SearchResults:
    """Show hits from the best on, as many as the caller has room for."""
    hits: list[wire.SearchHit] = []
    room = (query.max_tokens or 0) * _CHARS_PER_TOKEN
    for found in answer.found:
        hit = hit_out(found, detail=query.detail)
        if query.max_tokens is not None:
            room -= len(hit.model_dump_json(exclude_none=True))
            if room < 0:
                break
        hits.append(hit)
    return wire.SearchResults(
        query=answer.query,
        hits=hits,
        revision=answer.revision,
        searched=answer.searched,
        left_out=len(answer.found) - len(hits),
    )
