"""When a server is due: pure rules, so that every wait can be checked without waiting."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.types import ServerName
from toolcrib_server.sync.schedule import JITTER, Agenda, Cadence, Patience

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CLOCK, QUIET = ServerName("clock"), ServerName("quiet")


def exact(**settings: float) -> Cadence:
    return Cadence(spread=lambda low, high: (low + high) / 2, **settings)


def wait_s(at: datetime | None) -> float:
    assert at is not None
    return (at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("ttl_ms", "expected_s"),
    [(None, 300), (0, 300), (1_000, 60), (120_000, 120), (86_400_000, 3600)],
)
def test_what_a_server_says_moves_the_interval_within_bounds(
    ttl_ms: int | None, expected_s: float
) -> None:
    assert wait_s(exact().after_success(NOW, ttl_ms=ttl_ms)) == pytest.approx(expected_s)


def test_an_interval_below_the_shortest_is_kept() -> None:
    assert wait_s(exact(interval_s=2).after_success(NOW, ttl_ms=None)) == pytest.approx(2)
    assert wait_s(exact(interval_s=2).after_success(NOW, ttl_ms=100)) == pytest.approx(2)


def test_an_interval_above_the_longest_is_kept() -> None:
    cadence = exact(interval_s=7200)
    assert wait_s(cadence.after_success(NOW, ttl_ms=None)) == pytest.approx(7200)


def test_without_an_interval_nothing_is_tried_again() -> None:
    cadence = exact(interval_s=0)
    assert cadence.after_success(NOW, ttl_ms=1000) is None
    assert cadence.after_failure(NOW, failures=1) is None


def test_the_pause_doubles_with_each_failure_up_to_a_limit() -> None:
    pauses = [wait_s(exact().after_failure(NOW, failures=n)) for n in (1, 2, 3, 50)]
    assert pauses == pytest.approx([5, 10, 20, 900])


def test_a_server_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    waited = exact().after_failure(NOW, failures=1, retry_after_s=120)
    assert wait_s(waited) == pytest.approx(120)


@given(
    ttl_ms=st.none() | st.integers(0, 10**10),
    failures=st.integers(1, 10_000),
    interval_s=st.floats(0.001, 10**6),
)
def test_every_wait_is_spread_within_its_bounds(
    ttl_ms: int | None, failures: int, interval_s: float
) -> None:
    cadence = Cadence(interval_s=interval_s)
    least_s = min(cadence.shortest_s, interval_s) * (1 - JITTER)
    most_s = max(cadence.longest_s, interval_s) * (1 + JITTER)
    slack_s = 1e-5
    asked_s = wait_s(cadence.after_success(NOW, ttl_ms=ttl_ms))
    assert least_s - slack_s <= asked_s <= most_s + slack_s
    retried_s = wait_s(cadence.after_failure(NOW, failures=failures))
    assert cadence.retry_s * (1 - JITTER) - slack_s <= retried_s
    assert retried_s <= cadence.longest_retry_s * (1 + JITTER) + slack_s


def test_polls_of_many_servers_do_not_come_together() -> None:
    waits = {wait_s(Cadence().after_success(NOW, ttl_ms=None)) for _ in range(50)}
    assert len(waits) > 40


def test_freshness_is_what_the_server_says_and_nothing_else() -> None:
    assert Cadence().fresh_until(NOW, ttl_ms=1500) == NOW + timedelta(milliseconds=1500)
    assert Cadence().fresh_until(NOW, ttl_ms=None) is None


def test_a_server_is_due_when_it_was_planned_and_once() -> None:
    agenda = Agenda()
    agenda.plan(CLOCK, due_s=10, now_s=0)
    agenda.plan(QUIET, due_s=None, now_s=0)
    assert agenda.take_due(now_s=9.9) == []
    assert agenda.next_due_s() == 10
    assert agenda.take_due(now_s=10) == [CLOCK]
    assert agenda.take_due(now_s=11) == []
    agenda.finish(CLOCK, due_s=20, now_s=11)
    assert agenda.next_due_s() == 20


def test_a_burst_of_notices_is_one_sync_when_it_has_settled() -> None:
    agenda = Agenda()
    for step in range(10):
        agenda.notice(CLOCK, now_s=step * 0.01)
    assert agenda.take_due(now_s=0.1) == []
    assert agenda.take_due(now_s=0.15) == [CLOCK]
    assert agenda.next_due_s() is None


def test_a_server_that_never_stops_is_synced_all_the_same() -> None:
    agenda = Agenda(Patience(settle_s=0.05, longest_s=0.5))
    due: list[float] = []
    for step in range(100):
        now_s = step * 0.02
        agenda.notice(CLOCK, now_s=now_s)
        if agenda.take_due(now_s=now_s):
            due.append(now_s)
            agenda.finish(CLOCK, due_s=None, now_s=now_s)
    assert due
    assert due[0] == pytest.approx(0.5, abs=0.03)
    assert len(due) <= 4


def test_a_server_that_shouts_on_is_followed_at_a_measured_pace() -> None:
    agenda = Agenda(Patience(settle_s=0.01, longest_s=0.01, burst=5, per_s=2))
    syncs, seconds = 0, 60
    for step in range(seconds * 50):
        now_s = step * 0.02
        agenda.notice(CLOCK, now_s=now_s)
        for name in agenda.take_due(now_s=now_s):
            syncs += 1
            agenda.finish(name, due_s=None, now_s=now_s)
    assert 0.9 * 2 * seconds <= syncs <= 5 + 2 * seconds + 1


def test_a_notice_during_a_sync_is_followed_after_it() -> None:
    agenda = Agenda()
    agenda.plan(CLOCK, due_s=0, now_s=0)
    assert agenda.take_due(now_s=0) == [CLOCK]
    agenda.notice(CLOCK, now_s=1)
    assert agenda.take_due(now_s=2) == []
    agenda.finish(CLOCK, due_s=300, now_s=3)
    assert agenda.take_due(now_s=3.05) == [CLOCK]


def test_a_notice_before_a_poll_takes_its_place() -> None:
    agenda = Agenda()
    agenda.notice(CLOCK, now_s=0)
    agenda.plan(CLOCK, due_s=0, now_s=0)
    assert agenda.take_due(now_s=0.06) == [CLOCK]
    agenda.finish(CLOCK, due_s=300, now_s=1)
    assert agenda.next_due_s() == 300


def test_a_poll_that_is_due_is_not_put_off_by_a_notice() -> None:
    agenda = Agenda()
    agenda.plan(CLOCK, due_s=0.01, now_s=0)
    agenda.notice(CLOCK, now_s=0)
    assert agenda.take_due(now_s=0.02) == [CLOCK]


def test_what_is_no_longer_registered_is_forgotten() -> None:
    agenda = Agenda()
    agenda.plan(CLOCK, due_s=1, now_s=0)
    agenda.plan(QUIET, due_s=1, now_s=0)
    agenda.keep([QUIET])
    assert CLOCK not in agenda
    assert agenda.take_due(now_s=2) == [QUIET]
