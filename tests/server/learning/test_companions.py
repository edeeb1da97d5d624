"""What is learned from the audit of calls, for whom, and how it is forgotten and refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, EntryId, ServerName
from toolcrib_server.learning.companions import CompanionDesk
from toolcrib_server.learning.mode import LearningMode, Sharing

from .conftest import START

pytestmark = pytest.mark.anyio

BILL, PLANT = EntryId("tool:office__invoice"), EntryId("tool:office__garden")
NOW = START + timedelta(days=2)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def record(store: Store, principal: str, *, runs: int = 5, at: datetime = START) -> None:
    """Record rows of two calls, an hour apart."""
    store.record_calls(
        [
            CallRecord(
                id=f"{principal}-{at.isoformat()}-{run}-{place}",
                at=at + timedelta(hours=run, seconds=place),
                subject=entry,
                server=ServerName("office"),
                face="mcp",
                principal=principal,
                outcome="ok",
                duration_ms=1.0,
                argument_shape={},
            )
            for run in range(runs)
            for place, entry in enumerate((BILL, PLANT))
        ]
    )


def desk(
    store: Store,
    *,
    mode: LearningMode = LearningMode.ON,
    sharing: Sharing = Sharing.PRINCIPAL,
    clock: Clock | None = None,
) -> CompanionDesk:
    return CompanionDesk(store, mode=mode, sharing=sharing, now=clock or Clock())


def used(desk: CompanionDesk, principal: str) -> Mapping[EntryId, list[EntryId]]:
    found = desk.companions(principal)
    assert found is not None
    return {tool: [one.entry for one in its] for tool, its in found.used.items()}


async def test_the_order_of_calls_is_learned_for_its_own_tenant(store: Store) -> None:
    record(store, "a")
    learner = desk(store)
    assert learner.companions("a") is None

    await learner.look()

    assert used(learner, "a") == {PLANT: [BILL]}
    assert used(learner, "b") == {}
    assert {tenant: [*its] for tenant, its in learner.pairs().items()} == {"a": [PLANT]}


async def test_where_all_share_three_must_agree(store: Store) -> None:
    for principal in ("a", "b"):
        record(store, principal)
    record(store, "c", runs=1)
    learner = desk(store, sharing=Sharing.EVERYONE)
    await learner.look()
    assert used(learner, "anybody") == {PLANT: [BILL]}


@pytest.mark.parametrize("mode", [LearningMode.OFF, LearningMode.FEEDBACK, LearningMode.RECORD])
async def test_calls_teach_nothing_unless_the_mode_watches_and_uses_them(
    store: Store, mode: LearningMode
) -> None:
    record(store, "a")
    learner = desk(store, mode=mode)
    await learner.look(now=True)
    assert used(learner, "a") == {}
    assert await learner.refuse(PLANT, BILL, actor="test"), "a refusal holds in any mode"
    found = learner.companions("a")
    assert found is not None
    assert found.refused == {(PLANT, BILL)}


@pytest.mark.parametrize(
    "said",
    [{"principal": "a"}, {"tenant": "a"}, {"before": NOW}, {"principal": "a", "tenant": "a"}],
)
async def test_what_is_forgotten_teaches_no_more_in_any_process(
    store: Store, said: Mapping[str, str | datetime]
) -> None:
    record(store, "a")
    record(store, "b")
    clock = Clock()
    first, second = desk(store, clock=clock), desk(store, clock=clock)
    await first.look()
    await second.look()

    await first.forget(**({"principal": None, "tenant": None, "before": None} | dict(said)))  # type: ignore[arg-type]  # one of each kind
    await second.look()

    for learner in (first, second):
        assert used(learner, "a") == {}
        assert used(learner, "b") == ({} if "before" in said else {PLANT: [BILL]})
    assert len(store.list_calls()) == 20, "the audit keeps what was called"
    record(store, "a", at=NOW)
    clock.now = NOW + timedelta(days=1)
    await first.look()
    assert used(first, "a") == {PLANT: [BILL]}, "what comes later teaches again"


async def test_the_audit_is_read_every_ten_minutes_at_most(store: Store) -> None:
    clock = Clock()
    learner = desk(store, clock=clock)
    await learner.look()
    record(store, "a")
    clock.now += timedelta(minutes=9)
    await learner.look()
    assert used(learner, "a") == {}
    clock.now += timedelta(minutes=1)
    await learner.look()
    before = learner.companions("a")
    assert used(learner, "a") == {PLANT: [BILL]}
    clock.now += timedelta(hours=1)
    await learner.look()
    assert learner.companions("a") is before, "an answer that is remembered stays true"


async def test_a_refusal_is_taken_up_by_other_processes_and_can_be_taken_back(
    store: Store,
) -> None:
    first, second = desk(store), desk(store)
    await second.look()
    assert await first.refuse(PLANT, BILL, actor="test")
    assert not await first.refuse(PLANT, BILL, actor="test")
    await second.look()
    assert second.refused == {(PLANT, BILL)}
    assert await second.allow(PLANT, BILL)
    assert not await second.allow(PLANT, BILL)
    assert second.refused == frozenset()
