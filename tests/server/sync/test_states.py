"""How syncs stand, as people and monitors read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from toolcrib_registry.types import (
    CatalogTransport,
    Server,
    ServerHealth,
    ServerName,
    ServerStatus,
    StdioTransport,
)
from toolcrib_server.sync.meter import SyncMeter, SyncTotals
from toolcrib_server.sync.states import sync_state, sync_states

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CLOCK = Server(name=ServerName("clock"), transport=StdioTransport("clock"))
SYNCED = replace(
    CLOCK,
    health=ServerHealth(
        status=ServerStatus.READY,
        attempted_at=NOW - timedelta(seconds=90),
        synced_at=NOW - timedelta(seconds=90),
        next_attempt_at=NOW + timedelta(seconds=210),
    ),
)


def test_the_lag_is_the_age_of_what_is_held() -> None:
    assert sync_state(SYNCED, now=NOW).lag_s == 90
    assert sync_state(CLOCK, now=NOW).lag_s is None


def test_a_clock_that_went_back_makes_no_negative_lag() -> None:
    assert sync_state(SYNCED, now=NOW - timedelta(hours=1)).lag_s == 0


@pytest.mark.parametrize(
    ("status", "synced", "stale"),
    [
        (ServerStatus.READY, True, False),
        (ServerStatus.UNREACHABLE, True, True),
        (ServerStatus.UNREACHABLE, False, False),
    ],
)
def test_stale_is_what_is_kept_of_a_server_that_cannot_be_reached(
    status: ServerStatus, synced: bool, stale: bool
) -> None:
    server = SYNCED if synced else CLOCK
    health = replace(server.health, status=status)
    assert sync_state(replace(server, health=health), now=NOW).stale is stale


def test_a_server_that_is_off_has_no_next_attempt() -> None:
    assert sync_state(SYNCED, now=NOW).next_attempt_at is not None
    assert sync_state(replace(SYNCED, enabled=False), now=NOW).next_attempt_at is None


def test_catalogues_are_left_out_and_what_runs_is_told() -> None:
    catalogue = Server(name=ServerName("file"), transport=CatalogTransport("x"))
    states = sync_states([SYNCED, catalogue], now=NOW, running={ServerName("clock")})
    assert [(state.server, state.in_progress) for state in states] == [("clock", True)]


def test_rates_are_of_the_last_minute() -> None:
    now = [0.0]
    meter = SyncMeter(clock=lambda: now[0])
    for second in range(30):
        now[0] = float(second)
        meter.count(SyncTotals(syncs=4, added=2, failed=1, seconds=0.5))
    now[0] = 30.0
    assert meter.rates().syncs_per_s == pytest.approx(4)
    assert meter.rates().changes_per_s == pytest.approx(2)
    now[0] = 200.0
    assert meter.rates().syncs_per_s == 0
    assert meter.totals == SyncTotals(syncs=120, added=60, failed=30, seconds=15)
