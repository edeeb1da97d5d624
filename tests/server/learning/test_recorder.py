from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidInput, NotPermitted, StoreError
from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, EntryId, Outcome, OutcomeSource, ServerName, Verdict
from toolcrib_server.learning.mode import LearningMode, Sharing
from toolcrib_server.learning.plausibility import UNSEEN, plausibility
from toolcrib_server.learning.recorder import DAILY_LIMIT, OutcomeLog

pytestmark = pytest.mark.anyio
A, B = EntryId("tool:a"), EntryId("tool:b")


@dataclass
class Clock:
    now: datetime = datetime(2026, 8, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def log_of(
    store: Store,
    mode: LearningMode = LearningMode.ON,
    sharing: Sharing = Sharing.PRINCIPAL,
    now: Callable[[], datetime] | None = None,
) -> OutcomeLog:
    return OutcomeLog(store, mode=mode, sharing=sharing, keep=10_000, now=now or Clock())


def call(subject: EntryId = A, outcome: str = "ok", principal: str = "p") -> CallRecord:
    return CallRecord(
        id="1",
        at=datetime(2026, 8, 1, tzinfo=UTC),
        subject=subject,
        server=ServerName("s"),
        face="mcp",
        principal=principal,
        outcome=outcome,
        duration_ms=1.0,
        argument_shape={"password": "string(8)"},
    )


async def recorded(log: OutcomeLog, store: Store) -> list[tuple[str, EntryId, Verdict, float]]:
    await log.flush()
    return [(o.query, o.entry, o.verdict, o.weight) for o in store.iter_outcomes()]


async def test_a_call_after_a_search_that_listed_the_tool_is_an_outcome(store: Store) -> None:
    log = log_of(store)
    log.note_search("p", "what time is it", [B, A])

    log.note_call(call(B))
    log.note_call(call(A, "tool-error"))

    worth = plausibility(A, [B, A])
    assert sorted(await recorded(log, store)) == [
        ("what time is it", A, Verdict.FAILED, 0.5 * worth),
        ("what time is it", B, Verdict.WORKED, 1.0),
    ]
    one = next(store.iter_outcomes())
    assert (one.tenant, one.principal, one.source) == ("p", "p", OutcomeSource.CALL)
    assert "password" not in repr([*store.iter_outcomes()])


async def test_a_call_that_tells_nothing_of_the_fit_is_none(store: Store) -> None:
    clock = Clock()
    log = log_of(store, now=clock)
    log.note_search("p", "q", [A])
    log.note_call(call(A, principal="somebody else"))
    log.note_call(call(B))
    for code in ("invalid-arguments", "upstream-unavailable", "upstream-timeout"):
        log.note_call(call(A, code))
    clock.now += timedelta(hours=1)
    log.note_call(call(A))
    assert await recorded(log, store) == []


@pytest.mark.parametrize("mode", [LearningMode.OFF, LearningMode.FEEDBACK])
async def test_calls_are_not_watched_unless_asked_for(store: Store, mode: LearningMode) -> None:
    log = log_of(store, mode)
    log.note_search("p", "q", [A])
    log.note_call(call(A))
    assert await recorded(log, store) == []


async def test_feedback_is_recorded_at_once_and_weighed_by_what_search_recalls(
    store: Store,
) -> None:
    log = log_of(store, LearningMode.FEEDBACK, Sharing.EVERYONE)

    seen = await log.tell("p", "q" * 5_000, A, Verdict.CHOSEN, recalled=[A])
    unseen = await log.tell("p", "q", A, Verdict.REJECTED, recalled=[B])

    assert (seen.weight, unseen.weight) == (1.0, UNSEEN)
    assert len(seen.query) == 4_000
    assert {one.tenant for one in store.iter_outcomes()} == {"everyone"}
    assert len([*store.iter_outcomes()]) == 2


async def test_feedback_is_refused_where_learning_is_off_or_nothing_is_said(store: Store) -> None:
    off = log_of(store, LearningMode.OFF)
    with pytest.raises(NotPermitted, match="TOOLCRIB_LEARNING"):
        await off.tell("p", "q", A, Verdict.WORKED, recalled=[])
    with pytest.raises(InvalidInput, match="query is empty"):
        await log_of(store).tell("p", " \n", A, Verdict.WORKED, recalled=[])
    assert store.count_outcomes() == {}


async def test_a_principal_may_say_so_much_in_a_day(store: Store) -> None:
    clock = Clock()
    log = log_of(store, now=clock)
    log.note_search("p", "q", [A])
    for _ in range(DAILY_LIMIT + 20):
        log.note_call(call(A))
    with pytest.raises(NotPermitted, match="today"):
        await log.tell("p", "q", A, Verdict.WORKED, recalled=[A])
    await log.tell("other", "q", A, Verdict.WORKED, recalled=[A])
    await log.flush()
    assert store.count_outcomes() == {"p": DAILY_LIMIT, "other": 1}

    clock.now += timedelta(days=1)
    await log.tell("p", "q", A, Verdict.WORKED, recalled=[A])
    assert store.count_outcomes()["p"] == DAILY_LIMIT + 1


class FullStore(Store):
    """A store whose disk is full, until it is not."""

    is_full = True

    def record_outcomes(self, records: object, *, keep: int = 1) -> None:
        if self.is_full:
            raise StoreError("no room")
        super().record_outcomes(records, keep=keep)  # pyright: ignore[reportArgumentType]  # as it came


async def test_outcomes_wait_for_a_database_that_cannot_be_written(
    store: Store, tmp_path: object
) -> None:
    full = FullStore(f"sqlite:///{tmp_path}/toolcrib.db")
    log = log_of(full)
    log.note_search("p", "q", [A])
    log.note_call(call(A))
    await log.flush()
    assert store.count_outcomes() == {}

    full.is_full = False
    await log.flush()
    await log.flush()

    assert store.count_outcomes() == {"p": 1}
    full.close()


async def test_what_is_forgotten_is_not_written_later(store: Store) -> None:
    log = log_of(store)
    for principal in "pq":
        log.note_search(principal, "q", [A])
        log.note_call(call(A, principal=principal))
    await log.forget(partial(store.forget_outcomes, principal="p"), principal="p")
    log.note_call(call(A, principal="p"))
    await log.flush()
    assert store.count_outcomes() == {"q": 1}


async def test_what_is_noted_meanwhile_goes_only_if_it_fits(store: Store) -> None:
    log = log_of(store)
    noted: list[dict[str, Any]] = [
        {"principal": "p"},
        {"principal": "q"},
        {"tenant": "p"},
        {"before": datetime(2026, 8, 1, tzinfo=UTC)},
    ]
    for chosen in noted:

        def forget() -> None:
            log.note_search("p", "q", [A])
            log.note_call(call(A))

        await log.forget(forget, **chosen)
        log.note_call(call(A))
    await log.flush()
    assert store.count_outcomes() == {"p": 3}


class SlowStore(Store):
    """A store that waits before it writes outcomes, as behind a long transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.began, self.may_go = Event(), Event()

    def record_outcomes(self, records: Sequence[Outcome], *, keep: int = 100_000) -> None:
        self.began.set()
        assert self.may_go.wait(30)
        super().record_outcomes(records, keep=keep)


async def test_what_is_being_written_is_forgotten_too(store: Store, tmp_path: Path) -> None:
    slow = SlowStore(f"sqlite:///{tmp_path}/toolcrib.db")
    log = log_of(slow)
    log.note_search("p", "secret", [A])
    log.note_call(call(A))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.flush)
        await anyio.to_thread.run_sync(slow.began.wait, 10)
        forget = partial(slow.forget_outcomes, principal="p")
        tasks.start_soon(partial(log.forget, forget, principal="p"))
        await anyio.wait_all_tasks_blocked()
        slow.may_go.set()
    assert store.count_outcomes() == {}
    slow.close()


@given(st.lists(st.integers(0, 200), unique=True), st.integers(0, 200), st.integers(0, 200))
def test_what_search_ranks_higher_is_more_plausible(
    ranked: list[int], one: int, other: int
) -> None:
    ids = [EntryId(f"tool:{number}") for number in ranked]
    first, second = (EntryId(f"tool:{number}") for number in (one, other))
    worth = [plausibility(entry, ids) for entry in (first, second)]
    assert all(0 < value <= 1 for value in worth)
    if first in ids and second in ids and ids.index(first) < ids.index(second):
        assert worth[0] > worth[1]


def test_a_record_names_no_value_of_an_argument() -> None:
    fields = set(replace(call()).__dataclass_fields__)
    assert "arguments" not in fields
