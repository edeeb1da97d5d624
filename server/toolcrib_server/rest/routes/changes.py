"""What changed: the log in pages and as a stream, and what an entry said at each revision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import anyio
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput, StoreError, TooManyReaders
from toolcrib_registry.types import Change, EntryKind, Revision, ServerName
from toolcrib_server.rest.deps import Deps, Parts, User
from toolcrib_server.rest.mapping.changes import change_out, revision_head, revision_out
from toolcrib_server.sync.feed import Feed, Wanted
from toolcrib_server.sync.history import MAX_REVISIONS, list_revisions, read_revision

router = APIRouter(tags=["work"])

_MAX_REVISION: Final = 2**63 - 1
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of definitions in one answer: an object may be of 1 MiB, and change all the time."""
_HEARTBEAT_S: Final = 15.0
_RETRY_MS: Final = 2_000

Since = Annotated[int, Query(ge=0, le=_MAX_REVISION)]
Subject = Annotated[
    wire.Text | None, Query(description="An entry's id, as tool:time__now, or server:NAME.")
]
Diff = Annotated[bool, Query(description="Say of each change how the two sides differ.")]


@router.get("/changes", summary="What changed since a revision")
async def list_changes(
    parts: Parts,
    _: User,
    *,
    since: Since = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    server: wire.Text | None = None,
    subject: Subject = None,
    last: Annotated[bool, Query(description="The last ones instead of the first.")] = False,
    diff: Diff = False,
) -> wire.ChangesOut:
    """Oldest first. Ask on with ``since=next`` until ``items`` is empty.

    With ``last`` they are the last ``limit`` after ``since``: the tail of the log. Fewer than
    ``limit`` are given where their definitions come to more than 16 MiB.
    """
    read = parts.store.last_changes if last else parts.store.list_changes
    changes = await parts.in_thread(
        read,
        since=Revision(since),
        limit=limit,
        server=ServerName(server) if server is not None else None,
        subject=subject,
        most_bytes=_MOST_BYTES,
    )
    items = await parts.in_thread(_shown, changes, diff)
    return wire.ChangesOut(items=items, next=items[-1].revision if items else since)


@router.get(
    "/changes/stream",
    summary="What changes, as it happens",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events named ``change``, each with a ``ChangeOut`` as its "
            "data and the revision as its id",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_changes(
    parts: Parts,
    _: User,
    *,
    since: Annotated[int | None, Query(ge=0, le=_MAX_REVISION)] = None,
    server: wire.Text | None = None,
    subject: Subject = None,
    diff: Diff = False,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingResponse:
    """From the revision ``since``, or from now on; a reader that was cut off goes on by itself.

    ``Last-Event-ID`` wins over ``since``. A line of comment comes while nothing changes.
    """
    start = _revision(last_event_id) if last_event_id else since
    begin = await parts.in_thread(parts.store.head) if start is None else Revision(start)
    wanted = Wanted(server=ServerName(server) if server is not None else None, subject=subject)
    feed = Feed(parts.store, since=begin, wanted=wanted)
    return _EventStream(_events(parts, feed, diff=diff), readers=parts.readers)


@router.get("/tools/{name}/revisions", summary="What a tool said before", tags=["tools"])
async def list_tool_revisions(
    parts: Parts,
    _: User,
    name: wire.Text,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_REVISIONS)] = 100,
    diff: Diff = False,
) -> wire.RevisionsOut:
    """The last ones, oldest first; also of a tool that is gone."""
    changes = await parts.in_thread(list_revisions, parts.store, EntryKind.TOOL, name, limit=limit)
    items = [revision_head(change, diff=diff) for change in changes]
    return wire.RevisionsOut(subject=changes[-1].subject, items=items)


@router.get("/tools/{name}/revisions/{revision}", summary="Read a past revision", tags=["tools"])
async def get_tool_revision(
    parts: Parts,
    _: User,
    name: wire.Text,
    revision: Annotated[int, Path(ge=0, le=_MAX_REVISION)],
    *,
    diff: Diff = False,
) -> wire.RevisionOut:
    """What its server listed then, untouched; of a removal, what was removed."""
    read = read_revision, parts.store, EntryKind.TOOL, name, Revision(revision)
    return revision_out(await parts.in_thread(*read), diff=diff)


class _EventStream(StreamingResponse):
    """Server-sent events to one reader, who is counted until it has left."""

    def __init__(self, events: AsyncIterator[str], *, readers: anyio.CapacityLimiter) -> None:
        try:
            readers.acquire_on_behalf_of_nowait(self)
        except anyio.WouldBlock:
            raise TooManyReaders(int(readers.total_tokens)) from None
        self._readers = readers
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._readers.release_on_behalf_of(self)


async def _events(parts: Deps, feed: Feed, *, diff: bool) -> AsyncIterator[str]:
    try:
        yield f"retry: {_RETRY_MS}\n: {feed.since}\n\n"
        quiet_since = anyio.current_time()
        async for changes in feed.follow():
            items = await parts.in_thread(_shown, changes, diff) if changes else []
            for item in items:
                yield f"id: {item.revision}\nevent: change\ndata: {item.model_dump_json()}\n\n"
            if items:
                quiet_since = anyio.current_time()
            elif anyio.current_time() - quiet_since >= _HEARTBEAT_S:
                quiet_since = anyio.current_time()
                yield f": {feed.since}\n\n"
            if parts.stopping():
                return
    except StoreError as error:
        yield f"event: problem\ndata: {error.code}\n\n"


def _shown(changes: tuple[Change, ...], diff: bool) -> list[wire.ChangeOut]:  # noqa: FBT001  # passed on
    return [change_out(change, diff=diff) for change in changes]


def _revision(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_REVISION:
        raise InvalidInput(
            f"Last-Event-ID {text[:40]!r} is not a revision: send back an event's id."
        )
    return int(text)
