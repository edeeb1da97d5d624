"""How syncing stands: each server's state, readiness, and what monitors read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from toolcrib_registry.types import (
    CallRecord,
    EntryChanges,
    EntryId,
    HttpTransport,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    ServerWrite,
)
from toolcrib_server.invocation.traffic.breakers import BreakerState
from toolcrib_server.invocation.traffic.lanes import Crowd
from toolcrib_server.invocation.traffic.meter import PathReading
from toolcrib_server.rest.metrics import MOST_SERVERS
from toolcrib_server.sync.meter import SyncTotals

from .conftest import Api

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def add_server(api: Api, name: str, **health: Any) -> None:
    server = Server(name=ServerName(name), transport=HttpTransport("http://x/mcp"))
    api.deps.store.add_server(server, actor="test")
    api.deps.store.apply(
        EntryChanges(server=server.name), actor="sync", health=ServerHealth(**health)
    )


async def samples(api: Api) -> dict[str, dict[str, float]]:
    """Read /metrics: values by series and the value of its only label."""
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    read: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            read.setdefault(sample.name, {})[label] = sample.value
    return read


async def test_each_live_server_has_a_state(api: Api):
    now = datetime.now(UTC)
    add_server(api, "good", status=ServerStatus.READY, synced_at=now, attempted_at=now)
    add_server(
        api,
        "gone",
        status=ServerStatus.UNREACHABLE,
        synced_at=LONG_AGO,
        attempted_at=now,
        error="refused",
        failures=3,
        next_attempt_at=now + timedelta(seconds=40),
    )
    api.add_tools("catalogue", "t")
    listed = (await api.http.get("/api/v1/sync/servers")).json()
    gone, good = listed["items"]
    assert (gone["server"], good["server"]) == ("gone", "good")
    assert gone["stale"] is True
    assert gone["failures"] == 3
    assert gone["error"] == "refused"
    assert gone["lagS"] > 86_400
    assert gone["nextAttemptAt"] is not None
    assert good["stale"] is False
    assert listed["rates"] == {"syncsPerS": 0.0, "failuresPerS": 0.0, "changesPerS": 0.0}


async def test_monitors_read_what_happened(api: Api):
    now = datetime.now(UTC)
    add_server(api, "good", status=ServerStatus.READY, synced_at=now)
    add_server(api, "gone", status=ServerStatus.UNREACHABLE, synced_at=LONG_AGO)
    api.add_tools("desk", "pen", "ink")
    await api.http.get("/api/v1/search", params={"query": "a pen"})
    await api.http.get("/api/v1/search", params={"query": "a pen", "server": "nowhere"})
    standing = api.deps.standing
    standing.syncs.count(SyncTotals(syncs=5, unchanged=2, failed=1, skipped=1, seconds=2.5))
    for outcome in ("ok", "ok", "tool-error"):
        standing.calls.count(record(outcome))
    assert standing.guard is not None
    await standing.guard.check()
    read = await samples(api)
    assert read["toolcrib_servers"] == {"new": 0, "ready": 1, "degraded": 0, "unreachable": 1}
    assert read["toolcrib_servers_stale"] == {"": 1}
    assert read["toolcrib_sync_lag_seconds"]["gone"] > 86_400
    assert read["toolcrib_sync_lag_max_seconds"][""] > 86_400
    assert read["toolcrib_syncs_total"] == {
        "changed": 1, "unchanged": 2, "failed": 1, "skipped": 1,
    }  # fmt: skip
    assert read["toolcrib_sync_seconds_total"] == {"": 2.5}
    assert read["toolcrib_changes_total"]["added"] == 5
    assert read["toolcrib_changes_total"]["approved"] == 0
    assert read["toolcrib_registry_revision"] == read["toolcrib_index_revision"] == {"": 5}
    assert read["toolcrib_index_gaps"] == {
        "missing": 0, "outdated": 0, "surplus": 0, "unembedded": 0,
    }  # fmt: skip
    assert read["toolcrib_searches_total"]["failed"] == 1
    assert sum(read["toolcrib_searches_total"].values()) == 2
    assert read["toolcrib_search_seconds_count"] == {"": 2}
    assert read["toolcrib_search_seconds_bucket"]["+Inf"] == 2
    assert read["toolcrib_calls_total"] == {"ok": 2, "tool-error": 1}
    assert read["toolcrib_call_seconds_total"][""] == pytest.approx(0.03)
    assert read["toolcrib_info"] == {"0.0.0": 1}


async def test_thousands_of_servers_are_not_thousands_of_series(api: Api):
    names = [ServerName(f"s{n}") for n in range(MOST_SERVERS + 50)]
    now = datetime.now(UTC)
    writes: list[ServerWrite] = []
    for hours, name in enumerate(names):
        server = Server(name=name, transport=HttpTransport("http://x/mcp"))
        api.deps.store.add_server(server, actor="test")
        health = ServerHealth(status=ServerStatus.READY, synced_at=now - timedelta(hours=hours))
        writes.append(ServerWrite(changes=EntryChanges(server=name), health=health))
    api.deps.store.apply_many(writes, actor="sync")
    read = await samples(api)
    assert len(read["toolcrib_sync_lag_seconds"]) == MOST_SERVERS
    assert "s249" in read["toolcrib_sync_lag_seconds"]
    assert "s0" not in read["toolcrib_sync_lag_seconds"]
    assert read["toolcrib_servers"]["ready"] == MOST_SERVERS + 50


async def test_a_gap_shows_in_readiness_and_metrics_until_it_is_mended(api: Api):
    api.add_tools("desk", "pen", "ink")
    index = await api.deps.indexer.index()  # pyright: ignore[reportAttributeAccessIssue]
    index.update([], [EntryId("tool:desk__pen")], revision=index.revision)
    guard = api.deps.standing.guard
    assert guard is not None
    await guard.check()
    ready = await api.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["degraded"] == ["1 entries are not in the index as they should be"]
    assert (await samples(api))["toolcrib_index_gaps"]["missing"] == 1
    await guard.mend()
    assert (await api.http.get("/readyz")).json()["degraded"] == []
    read = await samples(api)
    assert read["toolcrib_index_gaps"]["missing"] == 0
    assert read["toolcrib_index_mended_total"] == {"": 1}


async def test_entries_of_a_server_that_cannot_be_reached_say_since_when(api: Api):
    api.add_tools("desk", "pen", catalog=False)
    health = ServerHealth(status=ServerStatus.UNREACHABLE, synced_at=LONG_AGO, error="refused")
    api.deps.store.apply(EntryChanges(server=ServerName("desk")), actor="sync", health=health)
    since = "2026-01-01T00:00:00Z"
    assert (await api.http.get("/api/v1/tools/desk__pen")).json()["staleSince"] == since
    (listed,) = (await api.http.get("/api/v1/tools")).json()["items"]
    assert listed["staleSince"] == since
    (entry,) = (await api.http.get("/api/v1/entries")).json()["items"]
    assert entry["staleSince"] == since
    assert (await api.http.get("/api/v1/entries/tool/desk__pen")).json()["staleSince"] == since
    found = (await api.http.get("/api/v1/search", params={"query": "a pen"})).json()
    assert found["hits"][0]["staleSince"] == since
    api.deps.store.apply(
        EntryChanges(server=ServerName("desk")),
        actor="sync",
        health=replace(health, status=ServerStatus.READY),
    )
    assert (await api.http.get("/api/v1/tools/desk__pen")).json()["staleSince"] is None


def record(outcome: str) -> CallRecord:
    return CallRecord(
        id=outcome,
        at=LONG_AGO,
        subject=EntryId("tool:t"),
        server=None,
        face="rest",
        principal="p",
        outcome=outcome,
        duration_ms=10,
        argument_shape={},
    )


async def test_monitors_see_queues_breakers_and_what_calls_came_to(api: Api):
    path, shop, file = PathReading(), ServerName("shop"), ServerName("file")
    path.sums.retries[shop] += 3
    path.sums.cache_hits[file] += 2
    standing = replace(
        api.deps.standing,
        path=lambda: replace(
            path,
            crowds={shop: Crowd(running=2, waiting=7)},
            breakers={"shop": BreakerState.HALF_OPEN, "file": BreakerState.OPEN},
            kept_bytes=5,
        ),
    )
    api.app.state.deps = replace(api.deps, standing=standing)
    read = await samples(api)
    assert read["toolcrib_calls_running"] == {"shop": 2}
    assert read["toolcrib_calls_waiting"] == {"shop": 7}
    assert read["toolcrib_breaker"] == {"file": 2, "shop": 1}
    assert read["toolcrib_call_retries_total"] == {"shop": 3}
    assert read["toolcrib_cache_hits_total"] == {"file": 2}
    assert read["toolcrib_kept_results_bytes"] == {"": 5}


async def test_however_many_servers_are_called_the_series_are_few(api: Api):
    path = PathReading()
    for number in range(MOST_SERVERS + 50):
        path.sums.retries[ServerName(f"s{number:03}")] = number
    standing = replace(api.deps.standing, path=lambda: path)
    api.app.state.deps = replace(api.deps, standing=standing)
    read = await samples(api)
    assert len(read["toolcrib_call_retries_total"]) == MOST_SERVERS
    assert "s249" in read["toolcrib_call_retries_total"]
