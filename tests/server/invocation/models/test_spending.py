"""Budgets over a store: exact between processes, and never blocked for ever by one that died."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from toolcrib_migrations import open_store
from toolcrib_registry.errors import BudgetExceeded, NotCallable
from toolcrib_registry.store import Store
from toolcrib_server.invocation.models.spending import DailyBudgets

pytestmark = pytest.mark.anyio

SPENDER = """
import sys, anyio
from toolcrib_migrations import open_store
from toolcrib_registry.errors import BudgetExceeded
from toolcrib_server.invocation.models.spending import DailyBudgets

async def main():
    budgets = DailyBudgets(open_store(sys.argv[1]), {"*": 1.0})
    granted = 0
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(20):
        try:
            held = await budgets.reserve("key", 0.1, "x", timeout_s=60)
        except BudgetExceeded:
            continue
        granted += 1
        if sys.argv[2] == "settles":
            await budgets.settle(held, 0.05)
    print(granted, flush=True)

anyio.run(main)
"""


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    yield opened
    opened.close()


async def reserve(budgets: DailyBudgets, usd: float | None = 0.6, who: str = "a"):
    return await budgets.reserve(who, usd, "x", timeout_s=10)


async def test_calls_at_once_do_not_spend_the_same_money_twice(store: Store) -> None:
    budgets, beside = DailyBudgets(store, {"*": 1.0}), DailyBudgets(store, {"*": 1.0})
    held = await reserve(budgets)
    with pytest.raises(BudgetExceeded, match=r"has spent 0, 0\.6 more is set aside"):
        await reserve(beside)
    await beside.settle(held, 0.1)
    await reserve(beside)
    await reserve(budgets, who="b")
    assert budgets.spent_usd("a") == beside.spent_usd("a") == 0.1


async def test_who_has_no_budget_and_what_is_free_cost_no_look_at_the_store(
    tmp_path: Path,
) -> None:
    closed = Store(f"sqlite:///{tmp_path / 'absent' / 'nothing.db'}")
    unlimited = DailyBudgets(closed)
    await unlimited.settle(await reserve(unlimited, None), 5.0)
    limited = DailyBudgets(closed, {"*": 1.0})
    await limited.settle(await reserve(limited, 0.0), 0.0)
    with pytest.raises(NotCallable, match="the price is unknown"):
        await reserve(limited, None)


async def test_a_budget_starts_anew_each_day_and_a_clock_set_back_frees_no_money(
    store: Store,
) -> None:
    clock = Clock()
    budgets = DailyBudgets(store, {"*": 1.0}, now=clock)
    held = await reserve(budgets, 0.9)
    clock.now += timedelta(minutes=2)
    await reserve(budgets, 0.9)
    await budgets.settle(held, 0.9)
    assert budgets.spent_usd("a") == 0.0, "it was spent on the day before"
    clock.now -= timedelta(minutes=2)
    with pytest.raises(BudgetExceeded, match=r"has spent 0\.9"):
        await reserve(budgets, 0.9)


async def test_what_died_between_reserve_and_settle_is_given_back_after_its_deadline(
    store: Store,
) -> None:
    clock = Clock()
    clock.now -= timedelta(hours=2)
    budgets = DailyBudgets(store, {"*": 1.0}, now=clock)
    await reserve(budgets)
    clock.now += timedelta(seconds=60)
    with pytest.raises(BudgetExceeded):
        await reserve(budgets)
    clock.now += timedelta(seconds=11)
    await reserve(budgets)


async def test_an_account_that_cannot_be_written_is_settled_at_the_next_call(
    tmp_path: Path,
) -> None:
    file = tmp_path / "toolcrib.db"
    store = open_store(f"sqlite:///{file}")
    store.close()
    hasty = Store(f"sqlite:///{file}", busy_timeout_s=0.05)
    budgets = DailyBudgets(hasty, {"*": 1.0})
    held = await reserve(budgets)
    with store._database.writing() as session:  # pyright: ignore[reportPrivateUsage]
        session.connection()  # has the lock from here on
        await budgets.settle(held, 0.5)
    assert budgets.spent_usd("a") == 0.0
    await reserve(budgets, 0.1)
    assert budgets.spent_usd("a") == 0.5
    hasty.close()
    store.close()


async def test_who_leaves_while_money_is_set_aside_leaves_none_behind(store: Store) -> None:
    budgets = DailyBudgets(store, {"*": 1.0})
    with anyio.CancelScope() as scope:
        scope.cancel()
        held = await reserve(budgets)
        await budgets.settle(held, 0.0)
    assert (
        store.spending.balance("a", datetime.now(UTC).date(), now=datetime.now(UTC)).held_usd == 0
    )


@pytest.mark.parametrize(("manner", "granted"), [("settles", 19), ("dies", 10)])
def test_two_processes_spend_one_budget(tmp_path: Path, manner: str, granted: int) -> None:
    url = f"sqlite:///{tmp_path / 'toolcrib.db'}"
    store = open_store(url)
    with (
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, url, manner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as one,
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, url, manner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
    ):
        both = (one, other)
        for each in both:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in both:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        counts = [int(each.stdout.readline()) for each in both if each.stdout]

    spent = DailyBudgets(store, {"*": 1.0}).spent_usd("key")
    store.close()
    assert sum(counts) in {granted - 1, granted}
    assert spent == pytest.approx(sum(counts) * 0.05 if manner == "settles" else 0.0)
