"""Spending by key and day: one sum for all processes, and nothing set aside for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.store.spending import Balance, Reservation

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()


def reservation(
    number: int, usd: float, *, principal: str = "key-1", day: date = TODAY, lasts_s: float = 60
) -> Reservation:
    return Reservation(
        id=f"{principal}/{number}",
        principal=principal,
        day=day,
        usd=usd,
        expires_at=NOW + timedelta(seconds=lasts_s),
    )


def reserve(store: Store, asked: Reservation, limit: float = 1.0) -> Balance:
    balance = store.spending.reserve(asked, limit_usd=limit, now=NOW)
    assert balance is not None
    return balance


def test_a_day_begins_once_with_what_was_spent_before(store: Store) -> None:
    assert store.spending.reserve(reservation(1, 0.1), limit_usd=1.0, now=NOW) is None
    assert store.spending.open("key-1", TODAY, spent_usd=0.25)
    assert not store.spending.open("key-1", TODAY, spent_usd=9.0)

    assert reserve(store, reservation(1, 0.1)) == Balance(
        spent_usd=0.25, held_usd=0.0, granted=True
    )


def test_what_is_set_aside_is_not_granted_twice_and_gives_way_to_what_was_spent(
    store: Store,
) -> None:
    store.spending.open("key-1", TODAY, spent_usd=0.0)
    first = reservation(1, 0.6)
    assert reserve(store, first).granted
    assert reserve(store, reservation(2, 0.6)) == Balance(spent_usd=0.0, held_usd=0.6)
    assert store.spending.open("key-2", TODAY, spent_usd=0.0)
    assert reserve(store, reservation(1, 0.6, principal="key-2")).granted

    store.spending.settle(first, spent_usd=0.1)

    assert store.spending.balance("key-1", TODAY, now=NOW) == Balance(spent_usd=0.1, held_usd=0.0)
    assert reserve(store, reservation(3, 0.6)).granted


def test_what_a_process_left_behind_counts_until_its_time(store: Store) -> None:
    store.spending.open("key-1", TODAY, spent_usd=0.0)
    dead = reservation(1, 0.9, lasts_s=30)
    assert reserve(store, dead).granted
    assert not reserve(store, reservation(2, 0.5)).granted
    later = NOW + timedelta(seconds=31)
    assert store.spending.balance("key-1", TODAY, now=later).held_usd == 0.0
    balance = store.spending.reserve(reservation(3, 0.5), limit_usd=1.0, now=later)
    assert balance is not None
    assert balance.granted

    store.spending.settle(dead, spent_usd=0.3)  # it was only slow

    assert store.spending.balance("key-1", TODAY, now=later).spent_usd == 0.3


def test_a_call_is_put_on_the_day_it_began(store: Store) -> None:
    yesterday = TODAY - timedelta(days=1)
    store.spending.open("key-1", yesterday, spent_usd=0.0)
    asked = reservation(1, 0.5, day=yesterday)
    assert reserve(store, asked).granted
    store.spending.settle(asked, spent_usd=0.4)
    assert store.spending.balance("key-1", TODAY, now=NOW).spent_usd == 0.0
    assert store.spending.balance("key-1", yesterday, now=NOW).spent_usd == 0.4


def test_days_long_past_are_dropped(store: Store) -> None:
    past = TODAY - timedelta(days=40)
    store.spending.open("key-1", past, spent_usd=1.0)
    store.spending.open("key-2", TODAY, spent_usd=1.0)
    assert store.spending.balance("key-1", past, now=NOW).spent_usd == 0.0


def test_many_at_once_are_granted_exactly_what_there_is(url: str, store: Store) -> None:
    other = open_store(url)
    store.spending.open("key-1", TODAY, spent_usd=0.0)

    def ask(number: int) -> bool:
        return reserve((store, other)[number % 2], reservation(number, 0.125)).granted

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(ask, range(24)))

    other.close()
    assert sum(granted) == 8
    assert store.spending.balance("key-1", TODAY, now=NOW).held_usd == 1.0
