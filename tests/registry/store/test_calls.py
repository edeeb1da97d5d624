from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from toolcrib_registry.store import Store
from toolcrib_registry.types import CallRecord, EntryId, EntryKind, ServerName

START = datetime(2026, 8, 1, tzinfo=UTC)


def record(number: int, server: str | None = "time") -> CallRecord:
    return CallRecord(
        id=f"call-{number}",
        at=START + timedelta(milliseconds=number),
        subject=EntryId("tool:time__now"),
        server=None if server is None else ServerName(server),
        face="mcp",
        principal="local",
        outcome="ok",
        duration_ms=1.25,
        argument_shape={"zone": "string(13)"},
    )


def test_records_come_back_newest_first(store: Store) -> None:
    records = [record(number, server=None if number == 2 else "time") for number in range(5)]

    store.record_calls(records[:2])
    store.record_calls(records[2:])
    store.record_calls([])

    assert store.list_calls(limit=3) == (records[4], records[3], records[2])
    assert store.list_calls() == tuple(reversed(records))
    assert store.list_calls(since=records[3].at) == (records[4], records[3])
    assert store.head() == 0


def test_records_of_a_kind_are_found_under_any_number_of_others(store: Store) -> None:
    of_model = replace(record(0), subject=EntryId("model:org/small"))
    store.record_calls([of_model, *(record(number) for number in range(1, 30))])

    assert store.list_calls(kind=EntryKind.MODEL, limit=1) == (of_model,)


def test_records_are_found_by_id_and_by_principal(store: Store) -> None:
    mine = [replace(record(n), subject=EntryId("model:m")) for n in range(3)]
    theirs = replace(record(3), subject=EntryId("model:m"), principal="key-1")
    store.record_calls([*mine, theirs, record(4)])

    ids = store.list_call_ids(kind=EntryKind.MODEL, since=mine[1].at, limit=10)

    assert ids == (theirs.id, mine[2].id, mine[1].id)
    assert store.list_call_ids(kind=EntryKind.MODEL, since=START, limit=1) == (theirs.id,)
    assert store.get_calls([mine[0].id, "absent", theirs.id]) == (theirs, mine[0])
    assert store.get_calls([]) == ()
    assert store.list_calls(kind=EntryKind.MODEL, principal="key-1") == (theirs,)
