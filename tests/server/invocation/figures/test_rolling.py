"""Figures follow what calls measure, in this process and in others, and forget what is no more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.types import CallRecord, EntryId
from toolcrib_server.invocation.figures.feed import FiguresFeed
from toolcrib_server.invocation.figures.measured import Measured, shape_of_call
from toolcrib_server.invocation.figures.rolling import RollingFigures
from toolcrib_server.invocation.figures.summary import summarise

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = "m@acme/m"


def call(number: int = 0, outcome: str = "ok", **more: Any) -> Measured:
    given: dict[str, Any] = {
        "duration_ms": 300.0,
        "first_token_ms": 100.0,
        "tokens_in": 50,
        "tokens_out": 21,
    }
    if outcome != "ok":
        given |= {"first_token_ms": None, "tokens_in": 0, "tokens_out": 0}
    at = NOW - timedelta(minutes=400 - number)
    return Measured(id=f"id-{number}", at=at, outcome=outcome, **(given | more))


def record(measured: Measured) -> CallRecord:
    return CallRecord(
        id=measured.id,
        at=measured.at,
        subject=EntryId("model:m"),
        server=None,
        face="test",
        principal="p",
        outcome=measured.outcome,
        duration_ms=measured.duration_ms,
        argument_shape=shape_of_call(measured, KEY, {"messages": "array(1)"}),
    )


def summary(*calls: Measured, now: datetime = NOW):
    return summarise(calls, now=now)


# --- one offer's calls -------------------------------------------------------------------------


def test_an_answer_takes_so_much_by_itself_and_so_much_by_the_token() -> None:
    figures = summary(*(call(n) for n in range(30)))
    assert (figures.base_ms, figures.slope_ms) == (100.0, 10.0)
    assert (figures.latency_ms_p95, figures.first_token_ms_p95) == (300.0, 100.0)
    whole = [
        call(n, first_token_ms=None, tokens_out=10 * (n + 1), duration_ms=200.0 + 50 * (n + 1))
        for n in range(20)
    ]
    figures = summary(*whole)
    assert figures.base_ms == pytest.approx(200, abs=40)
    assert figures.slope_ms == pytest.approx(5, abs=0.5)
    few = summary(*whole[:3])
    assert (few.base_ms, few.slope_ms) == (300.0, 0.0)


def test_what_was_never_answered_has_no_latency() -> None:
    figures = summary(*(call(n, "upstream-unavailable") for n in range(5)))
    assert (figures.base_ms, figures.latency_ms_p50, figures.tokens_out_mean) == (None, None, None)
    assert (figures.error_rate, figures.last_error) == (1.0, "upstream-unavailable")


def test_few_failures_prove_nothing_and_many_are_forgiven_with_time() -> None:
    half = [call(n, "ok" if n % 2 else "upstream-error") for n in range(380, 400)]
    figures = summary(*half)
    assert figures.error_rate == 0.5
    assert 0.25 < figures.surely_failing < 0.5
    assert 0.3 < figures.failing < 0.5
    assert summary(*half[:2]).surely_failing < 0.25
    later = summary(*half, now=NOW + timedelta(days=2))
    assert later.surely_failing < 0.1
    assert later.failing < 0.05
    spotless = summary(*(call(n) for n in range(40)))
    assert (spotless.failing, spotless.surely_failing) == (0.0, 0.0)


def test_calls_from_before_a_change_are_left_out_and_that_is_said() -> None:
    fast = [call(n, first_token_ms=100.0 + n % 9) for n in range(60)]
    slow = [call(n, first_token_ms=400.0 + n % 9, duration_ms=700.0) for n in range(60, 100)]
    figures = summary(*fast, *slow)
    assert figures.calls == 40
    assert figures.first_token_ms_p50 == pytest.approx(404, abs=5)
    assert figures.changed is not None
    assert "latency rose" in figures.changed
    assert "60 older calls" in figures.changed
    broken = [call(n, "upstream-error") for n in range(100, 130)]
    figures = summary(*fast, *broken)
    assert figures.error_rate == 1.0
    assert "error rate rose" in (figures.changed or "")
    assert summary(*fast).changed is None


# --- of all offers -----------------------------------------------------------------------------


def test_what_is_known_already_changes_nothing_and_old_calls_go_behind() -> None:
    figures = RollingFigures(now=lambda: NOW, renewed_s=0)
    figures.note(KEY, call(399))
    before = figures.current()
    figures.recall([record(call(399))])
    assert figures.current().by_offer[KEY].calls == 1
    figures.recall([record(call(n)) for n in (5, 3, 4)])
    after = figures.current()
    assert after.version > before.version
    assert (after.by_offer[KEY].calls, after.by_offer[KEY].last_at) == (4, call(399).at)
    assert after.expected_out("m") < after.typical_out < 250


def test_a_window_keeps_the_latest_calls() -> None:
    figures = RollingFigures(now=lambda: NOW, renewed_s=0)
    figures.recall([record(call(n, tokens_out=n + 1)) for n in range(400)])
    found = figures.find(KEY)
    assert found is not None
    assert found.since == call(200).at
    assert found.calls == 200


async def test_each_process_learns_what_the_others_measured(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    here, there = FiguresFeed(store), FiguresFeed(store)
    fresh = replace(call(1), at=datetime.now(UTC))
    store.record_calls([record(fresh)])
    await here.ready()
    assert here.current().by_offer[KEY].calls == 1
    await there.ready()

    own = replace(call(2), at=datetime.now(UTC))
    there.figures.note(KEY, own)
    # The other machine's clock is a minute behind.
    late = replace(call(3), at=datetime.now(UTC) - timedelta(minutes=1))
    store.record_calls([record(own), record(late)])
    await here.look()
    await there.look()

    for feed in (here, there):
        found = feed.figures.find(KEY)
        assert found is not None
        assert found.calls == 3
    store.close()


async def test_a_clock_that_was_set_back_hides_no_calls(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    feed = FiguresFeed(store)
    ahead = replace(call(1), at=datetime.now(UTC) + timedelta(days=3))
    store.record_calls([record(ahead)])
    await feed.ready()
    store.record_calls([record(replace(call(2), at=datetime.now(UTC)))])
    await feed.look()
    found = feed.figures.find(KEY)
    store.close()
    assert found is not None
    assert found.calls == 2
    assert 0 <= found.failing <= 1


async def test_figures_stay_where_the_store_cannot_be_read(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    store.close()
    (tmp_path / "toolcrib.db").unlink()
    (tmp_path / "toolcrib.db").mkdir()
    feed = FiguresFeed(store)
    feed.figures.note(KEY, call(1))
    await feed.ready()
    found = feed.figures.find(KEY)
    assert found is not None
    assert found.calls == 1


def test_a_call_that_was_never_sent_is_no_failure_of_the_offer() -> None:
    assert not call(outcome="not-callable").failed
    assert call(outcome="upstream-unavailable").failed
