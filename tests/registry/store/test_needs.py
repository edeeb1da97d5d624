from __future__ import annotations

from datetime import UTC, datetime, timedelta

from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, CallStep, EntryId, ForgottenCalls, ServerName

START = datetime(2026, 8, 1, tzinfo=UTC)
LIST, BAN = EntryId("tool:chat__list_users"), EntryId("tool:chat__ban")


def call(number: int, entry: EntryId, *, principal: str = "p", outcome: str = "ok") -> CallRecord:
    return CallRecord(
        id=f"{number:05}",
        at=START + timedelta(minutes=number),
        subject=entry,
        server=ServerName("chat"),
        face="mcp",
        principal=principal,
        outcome=outcome,
        duration_ms=1.0,
        argument_shape={},
    )


def test_steps_are_calls_of_tools_that_worked_in_their_order(store: Store) -> None:
    assert store.needs.latest_call() is None
    store.record_calls(
        [
            call(3, BAN),
            call(1, LIST),
            call(2, LIST, outcome="tool-error"),
            call(4, EntryId("model:small")),
            call(0, LIST),
        ]
    )

    steps = store.needs.list_steps(since=START + timedelta(minutes=1), each=9, limit=9)

    assert steps == (
        CallStep(START + timedelta(minutes=1), "p", LIST, ServerName("chat")),
        CallStep(START + timedelta(minutes=3), "p", BAN, ServerName("chat")),
    )
    assert store.needs.latest_call() == "00004"


def test_one_who_calls_much_does_not_push_out_the_others(store: Store) -> None:
    store.record_calls([call(number, LIST, principal="loud") for number in range(10, 30)])
    store.record_calls([call(1, BAN), call(2, BAN)])

    steps = store.needs.list_steps(since=START, each=3, limit=6)

    assert [step.principal for step in steps] == ["p", "p", "loud", "loud", "loud"]
    assert steps[-1].at == START + timedelta(minutes=29)
    assert len(store.needs.list_steps(since=START, each=20, limit=4)) == 4


def test_a_refusal_holds_until_it_is_taken_back(store: Store) -> None:
    assert store.needs.refuse(BAN, LIST, at=START, actor="test")
    assert not store.needs.refuse(BAN, LIST, at=START, actor="test")
    assert store.needs.list_refused() == {(BAN, LIST)}
    assert not store.needs.allow(LIST, BAN)
    assert store.needs.allow(BAN, LIST)
    assert store.needs.list_refused() == frozenset()


def test_what_is_forgotten_only_grows(store: Store) -> None:
    later = START + timedelta(days=1)
    store.needs.forget_calls(tenant=None, principal="p", until=later)
    store.needs.forget_calls(tenant=None, principal="p", until=START)
    store.needs.forget_calls(tenant="t", principal=None, until=START)

    assert set(store.needs.list_forgotten()) == {
        ForgottenCalls(None, "p", later),
        ForgottenCalls("t", None, START),
    }
