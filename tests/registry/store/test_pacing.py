"""How often something was done: one count for all processes, of the last hour alone."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.store.pacing import HOUR_S

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_many_at_once_are_granted_no_more_than_the_limit(store: Store, url: str) -> None:
    others = [open_store(url) for _ in range(3)]

    def take(number: int) -> bool:
        asked = (store, *others)[number % 4]
        return asked.paces.take("w", per_hour=10, now=NOW).granted

    with ThreadPoolExecutor(8) as threads:
        granted = list(threads.map(take, range(40)))
    assert sum(granted) == 10
    assert store.paces.look("w", per_hour=12, now=NOW).left == 2
    assert store.paces.look("v", per_hour=12, now=NOW).left == 12
    for other in others:
        other.close()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps_s=st.lists(st.integers(0, 1_500), min_size=5, max_size=25),
    per_hour=st.integers(1, 4),
)
def test_no_hour_has_more_than_the_limit_and_who_waits_is_granted(
    store: Store, steps_s: list[int], per_hour: int
) -> None:
    # A name of its own each time, also for an example that is tried again.
    now, granted, name = NOW, list[datetime](), uuid.uuid4().hex
    for step_s in steps_s:
        now += timedelta(seconds=step_s)
        before = store.paces.look(name, per_hour=per_hour, now=now)
        took = store.paces.take(name, per_hour=per_hour, now=now)
        assert took.granted == (before.waits_s == 0) == (before.left > 0)
        if took.granted:
            granted.append(now)
    hour = timedelta(seconds=HOUR_S)
    assert all(sum(end - hour < at <= end for at in granted) <= per_hour for end in granted)
    waits_s = store.paces.look(name, per_hour=per_hour, now=now).waits_s
    assert waits_s <= HOUR_S + 60
    later = now + timedelta(seconds=waits_s)
    assert store.paces.take(name, per_hour=per_hour, now=later).granted


def test_what_a_wrong_clock_counted_in_the_far_future_does_not_keep_anybody_waiting(
    store: Store,
) -> None:
    assert store.paces.take("w", per_hour=1, now=NOW + timedelta(days=30)).granted
    assert store.paces.take("w", per_hour=1, now=NOW).granted
    assert not store.paces.take("w", per_hour=1, now=NOW).granted
