"""How syncing stands: each live server's state, and everything that is measured."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from toolcrib_registry import wire
from toolcrib_server.answers.lookup import AnswerTotals
from toolcrib_server.rest.deps import Deps, Parts, User
from toolcrib_server.rest.metrics import MEDIA_TYPE, Reading, render_metrics
from toolcrib_server.sync.states import SyncState, sync_states

api = APIRouter(tags=["work"])
router = APIRouter(tags=["health"])


@api.get("/sync/servers", summary="How each server's sync stands")
async def list_sync_states(parts: Parts, _: User) -> wire.SyncServersOut:
    """Every live server, by name: how old what is known of it is, and what comes next."""
    states = await parts.in_thread(_states, parts)
    rates = parts.standing.syncs.rates()
    return wire.SyncServersOut(
        items=[state_out(state) for state in states],
        rates=wire.SyncRatesOut(
            syncs_per_s=round(rates.syncs_per_s, 3),
            failures_per_s=round(rates.failures_per_s, 3),
            changes_per_s=round(rates.changes_per_s, 3),
        ),
    )


@router.get(
    "/metrics",
    summary="What monitors read",
    response_class=Response,
    responses={
        200: {
            "description": "The text format of Prometheus",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def metrics(parts: Parts, _: User) -> Response:
    """Needs a key where keys are set: it names servers."""
    # Read here: the cache is the event loop's.
    answers = parts.answers.totals if parts.answers else AnswerTotals()
    return Response(await parts.in_thread(_render, parts, answers), media_type=MEDIA_TYPE)


def state_out(state: SyncState) -> wire.SyncServerOut:
    """Show how one server's sync stands."""
    return wire.SyncServerOut(
        server=state.server,
        status=state.status,
        enabled=state.enabled,
        stale=state.stale,
        lag_s=state.lag_s,
        in_progress=state.in_progress,
        failures=state.failures,
        error=state.error,
        attempted_at=state.attempted_at,
        synced_at=state.synced_at,
        changed_at=state.changed_at,
        fresh_until=state.fresh_until,
        next_attempt_at=state.next_attempt_at,
        duration_ms=state.duration_ms,
    )


def _states(parts: Deps) -> tuple[SyncState, ...]:
    servers = parts.store.iter_servers()
    return sync_states(servers, now=datetime.now(UTC), running=parts.standing.running())


def _render(parts: Deps, answers: AnswerTotals) -> bytes:
    standing, counts = parts.standing, parts.store.counts()
    reading = Reading(
        version=parts.version,
        head=counts.head,
        index_revision=parts.indexer.revision,
        entries=counts.entries,
        states=_states(parts),
        syncs=standing.syncs.totals,
        changes=parts.store.count_changes(since=standing.began),
        index=standing.index_health,
        mended=standing.guard.repaired if standing.guard else 0,
        searches=standing.searches.totals,
        calls=standing.calls.by_outcome,
        path=standing.path(),
        call_seconds=standing.calls.seconds,
        answers=answers,
        readers=int(parts.readers.borrowed_tokens),
    )
    return render_metrics(reading)
