"""What Toolcrib does: search, select, call, sync."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Entry, EntryId, EntryKind, ServerName
from toolcrib_server.guard import Principal
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.results.shelf import PREFIX
from toolcrib_server.rest.deps import Admin, Deps, Parts, User
from toolcrib_server.rest.mapping.calls import call_out, page_out, report_out
from toolcrib_server.rest.mapping.routing import weights_from
from toolcrib_server.rest.mapping.search import filters_from, hit_out, results_out, stages_from
from toolcrib_server.rest.mapping.selection import constraints_from, selection_out
from toolcrib_server.selection.models import Objective
from toolcrib_server.selection.question import readable

router = APIRouter(tags=["work"])

UrlQuery = Annotated[wire.Text, Field(max_length=10_000)]


def _refuse_unknown(request: Request) -> None:
    """Refuse a parameter that is misspelt: a filter that is passed over finds too much."""
    route: Any = request.scope["route"]
    known: list[str] = [field.alias for field in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            begun = [one for one in known if name and one.startswith(name)]
            near = difflib.get_close_matches(name, known, n=1) or begun
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidInput(f"There is no parameter {name!r}.{hint}")


@router.get(
    "/search",
    summary="Find tools, prompts, resources and models for a task",
    dependencies=[Depends(_refuse_unknown)],
)
async def search_by_url(
    parts: Parts,
    user: User,
    *,
    query: Annotated[list[UrlQuery], Query(min_length=1, max_length=16)],
    k: Annotated[int, Query(ge=1, le=1000)] = 5,
    kind: Annotated[list[EntryKind] | None, Query()] = None,
    server: Annotated[list[wire.Name] | None, Query()] = None,
    tag: Annotated[list[wire.Name] | None, Query(max_length=64)] = None,
    read_only: Annotated[bool, Query(alias="readOnly")] = False,
    destructive: bool = True,
    detail: Literal["name", "brief", "full"] = "brief",
    max_tokens: Annotated[int | None, Query(alias="maxTokens", ge=1, le=2**53)] = None,
    rerank: Literal["auto", "on", "off"] = "auto",
    split: bool = True,
    fold: bool = True,
    dependencies: bool = True,
    explain: bool = False,
    group_by: Annotated[Literal["server"] | None, Query(alias="groupBy")] = None,
) -> wire.SearchResults:
    """As ``POST /search``; ``query`` (a step each), ``kind``, ``server``, ``tag`` may be repeated.

    A browser or a shell can ask it.
    """
    steps = readable(query)
    return await _search(
        parts,
        user,
        wire.SearchQuery(
            query=steps[0] if len(steps) == 1 else list(steps),
            k=k,
            kinds=kind,
            servers=server,
            tags=tag,
            read_only=read_only,
            destructive=destructive,
            detail=detail,
            max_tokens=max_tokens,
            rerank=rerank,
            split=split,
            fold=fold,
            dependencies=dependencies,
            explain=explain,
            group_by=group_by,
        ),
    )


@router.post("/search", summary="Find tools, prompts, resources and models for a task")
async def search(parts: Parts, user: User, query: wire.SearchQuery) -> wire.SearchResults:
    """Best first; each hit says which signals found it. Disabled entries are never found."""
    return await _search(parts, user, query)


@router.post("/select", summary="Choose a model for a task, under hard limits")
async def select(parts: Parts, user: User, query: wire.SelectQuery) -> wire.SelectResults:
    """An unknown field never passes a limit; each exclusion names field, value, bound, source."""
    selection = await parts.models.select(
        query.task,
        constraints=constraints_from(query.constraints),
        objective=Objective(query.objective),
        k=query.k,
        principal=user.name,
        weights=weights_from(query.weights),
    )
    return selection_out(selection, max_exclusions=query.max_exclusions)


@router.post("/call", summary="Call a tool")
async def call(parts: Parts, user: User, given: wire.CallIn) -> wire.CallOut:
    """A tool that says it failed is an answer with ``isError``, not a problem."""
    started = time.monotonic()
    result = await parts.invoker.call(
        given.name,
        given.arguments,
        Asker(face="rest", principal=user.name, timeout_s=given.timeout_s),
        whole=True,
    )
    return call_out(given.name, result, duration_ms=1000 * (time.monotonic() - started))


@router.get("/results/{result_id}", summary="Read on in a result that was too large")
async def read_result(
    parts: Parts,
    user: User,
    result_id: Annotated[str, Path(max_length=64)],
    page: Annotated[int, Query(ge=1, le=999_999_999)] = 1,
) -> wire.ResultPageOut:
    """As the resource that the cut result names, ``toolcrib://results/{id}?page=N``.

    Only the key that made the call can read it, for some minutes, in the process that answered.
    """
    uri = f"{PREFIX}{quote(result_id, safe='')}?page={page}"
    read = parts.invoker.read_result(uri, principal=user.name)
    return page_out(read)


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


async def _search(parts: Deps, user: Principal, query: wire.SearchQuery) -> wire.SearchResults:
    answer = await parts.searcher.search(
        query.query,
        k=query.k,
        filters=filters_from(query),
        stages=stages_from(query),
        principal=user.name,
    )
    parts.feedback.note_search(user.name, query.query, [one.entry.id for one in answer.found])
    entries: Mapping[EntryId, Entry] = {}
    if query.detail == "full":
        entries = await parts.searcher.read(answer.found)
    hits = [
        hit_out(
            found,
            detail=query.detail,
            explain=query.explain,
            entry=entries.get(found.entry.id),
        )
        for found in answer.found
    ]
    if query.max_tokens is not None:
        hits = await parts.in_thread(_within, hits, query.max_tokens, parts.count_tokens)
    return results_out(answer, hits, grouped=query.group_by is not None)


def _within(
    hits: list[wire.SearchHit], max_tokens: int, count_tokens: Callable[[str], int]
) -> list[wire.SearchHit]:
    """Keep hits from the best on, as many as the caller has room for."""
    for kept, hit in enumerate(hits):
        max_tokens -= count_tokens(hit.model_dump_json(exclude_none=True)) + 1
        if max_tokens < 0:
            return hits[:kept]
    return hits
