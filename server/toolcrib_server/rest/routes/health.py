"""Whether the process lives, and whether it serves. Open to anybody, and saying no more."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from fastapi import APIRouter, Response

from toolcrib_registry import wire
from toolcrib_registry.errors import StoreError
from toolcrib_registry.types import Revision
from toolcrib_server.rest.deps import Deps, Parts

OPEN_PATHS = ("/", "/healthz", "/readyz")
router = APIRouter(tags=["health"])

_STORE_DEADLINE_S = 2.0


@router.get("/", summary="What is where")
async def root(parts: Parts) -> wire.RootOut:
    """For whoever opens the address to see what it is."""
    return wire.RootOut(version=parts.version)


@router.get("/healthz", summary="Whether the process lives")
async def healthz(parts: Parts) -> wire.HealthOut:
    """Answers as long as the process does."""
    return wire.HealthOut(version=parts.version)


@router.get("/readyz", summary="Whether it serves", responses={503: {"model": wire.ReadyOut}})
async def readyz(parts: Parts, response: Response) -> wire.ReadyOut:
    """503 while something keeps it from serving, with what that is."""
    blockers = list(parts.blockers())
    revision = await _head(parts)
    if revision is None:
        blockers.append("the database does not answer")
    response.status_code = 503 if blockers else 200
    return wire.ReadyOut(
        ready=not blockers,
        blockers=blockers,
        degraded=list(_degraded(parts)),
        revision=revision,
        index_revision=parts.indexer.revision,
    )


def _degraded(parts: Deps) -> Iterator[str]:
    """Say what does not work as it should, with no name of anything: this is open to anybody."""
    health = parts.standing.index_health
    if health is None:
        return
    if health.lexical_only:
        yield "search goes by words alone: the embedding model cannot be used"
    elif health.unembedded:
        yield f"{len(health.unembedded)} entries have no vector and are found by words alone"
    if behind := len(health.gaps) - len(health.unembedded):
        yield f"{behind} entries are not in the index as they should be"


async def _head(parts: Deps) -> Revision | None:
    try:
        with anyio.fail_after(_STORE_DEADLINE_S):
            return await parts.in_thread(parts.store.head)
    except (StoreError, TimeoutError):
        return None
