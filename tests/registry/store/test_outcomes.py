from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.store.outcomes import (
    learned_columns,
    learned_from,
    outcome_columns,
    outcome_from,
)
from toolcrib_registry.tables import LearnedRow, OutcomeRow
from toolcrib_registry.types import EntryId, Forgotten, Learned, Outcome, OutcomeSource, Verdict

START = datetime(2026, 8, 1, tzinfo=UTC)


def outcome(number: int, **fields: Any) -> Outcome:
    given: dict[str, Any] = {
        "id": f"outcome-{number:03}",
        "at": START + timedelta(minutes=number),
        "tenant": "a",
        "principal": "key-1",
        "query": f"what is the time \0 {number}",
        "entry": EntryId("tool:time__now"),
        "verdict": Verdict.WORKED,
        "source": OutcomeSource.CALL,
        "weight": 0.5,
    }
    return Outcome(**(given | fields))


def learned(tenant: str = "a", encoder: str = "e", **fields: Any) -> Learned:
    return Learned(
        tenant=tenant,
        encoder_id=encoder,
        at=START,
        report={"cases": 3, "use": None},
        **fields,
    )


def test_outcomes_come_back_oldest_first_page_by_page(store: Store) -> None:
    written = [outcome(number, tenant="ab"[number % 2]) for number in range(7)]
    store.record_outcomes(written[4:])
    store.record_outcomes(written[:4])
    store.record_outcomes([])

    first = store.list_outcomes(limit=4)
    second = store.list_outcomes(limit=4, cursor=first.next_cursor)

    assert (*first.items, *second.items) == tuple(written)
    assert second.next_cursor is None
    assert [*store.iter_outcomes(tenant="b")] == written[1::2]
    assert [*store.iter_outcomes(since=written[5].at)] == written[5:]
    assert store.count_outcomes() == {"a": 4, "b": 3}
    assert store.latest_outcome("b") == written[5].at
    assert store.latest_outcome("nobody") is None
    assert store.head() == 0


def test_outcomes_of_one_moment_are_paged_without_loss(store: Store) -> None:
    written = [outcome(number, at=START) for number in range(5)]
    store.record_outcomes(written)
    assert store.list_outcomes(limit=2).items == tuple(written[:2])

    cursor, seen = None, []
    for _ in range(3):
        page = store.list_outcomes(limit=2, cursor=cursor)
        seen += page.items
        cursor = page.next_cursor

    assert seen == written


def test_the_oldest_of_a_tenant_go_when_there_are_too_many(store: Store) -> None:
    other = outcome(0, id="other", tenant="b")
    written = [outcome(number) for number in range(6)]
    store.record_outcomes([other])

    store.record_outcomes(written[:3], keep=4)
    assert store.count_outcomes() == {"a": 3, "b": 1}
    store.record_outcomes(written[3:], keep=4)

    assert [*store.iter_outcomes()] == [other, *written[2:]]


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"tenant": "a"}, ["b-1"]),
        ({"principal": "p"}, ["a-2"]),
        ({"tenant": "a", "principal": "p"}, ["a-2", "b-1"]),
        ({"before": START + timedelta(minutes=2)}, ["a-2"]),
        ({"tenant": "nobody"}, ["a-1", "a-2", "b-1"]),
    ],
)
def test_what_is_named_is_forgotten(store: Store, chosen: dict[str, Any], left: list[str]) -> None:
    store.record_outcomes(
        [
            outcome(0, id="a-1", principal="p"),
            outcome(1, id="b-1", principal="p", tenant="b"),
            outcome(2, id="a-2", principal="q"),
        ]
    )

    gone = store.forget_outcomes(**chosen)

    assert sorted(one.id for one in store.iter_outcomes()) == left
    assert gone.outcomes == 3 - len(left)


def test_forgetting_needs_to_be_told_what(store: Store) -> None:
    store.record_outcomes([outcome(1)])
    with pytest.raises(InvalidInput, match="Say what to forget"):
        store.forget_outcomes()
    assert store.count_outcomes() == {"a": 1}


def test_what_was_learned_from_forgotten_outcomes_goes_too(store: Store) -> None:
    store.record_outcomes([outcome(1, principal="p"), outcome(2, tenant="b", principal="q")])
    for one in (learned(adapter=b"x"), learned(encoder="f"), learned(tenant="b")):
        store.put_learned(one)

    store.forget_outcomes(principal="p")

    assert store.find_learned("a", "e") is None
    assert store.find_learned("a", "f") is None
    assert store.find_learned("b", "e") == learned(tenant="b")


def test_what_a_tenant_learned_stays_where_none_of_its_outcomes_go(store: Store) -> None:
    store.record_outcomes([outcome(1, principal="p"), outcome(2, tenant="b", principal="q")])
    store.put_learned(learned())
    assert store.forget_outcomes(tenant="a", principal="q") == Forgotten(0, frozenset())
    assert store.find_learned("a", "e") == learned()
    assert store.forget_outcomes(principal="p") == Forgotten(1, frozenset({"a"}))


def test_vectors_of_queries_that_nobody_asks_any_more_go_too(store: Store) -> None:
    shared, lone = outcome(1, principal="p"), outcome(2, principal="p", query="\ud800 lone")
    store.record_outcomes([shared, lone, outcome(3, query=shared.query, tenant="b")])
    vectors = {shared.query_hash: b"1", lone.query_hash: b"2", "document": b"3"}
    for encoder in ("e", "f"):
        store.put_embeddings(encoder, vectors)

    store.forget_outcomes(principal="p")

    left = {shared.query_hash: b"1", "document": b"3"}
    assert [store.get_embeddings(encoder, list(vectors)) for encoder in "ef"] == [left, left]
    store.forget_vectors([shared.query])
    assert store.get_embeddings("e", list(vectors)) == left
    store.forget_outcomes(tenant="b")
    assert store.get_embeddings("e", list(vectors)) == {"document": b"3"}


def test_what_is_learned_replaces_what_was(store: Store) -> None:
    assert store.find_learned("a", "e") is None
    store.put_learned(learned(adapter=b"\0\1"))
    assert store.find_learned("a", "e") == learned(adapter=b"\0\1")
    store.put_learned(learned())
    assert store.find_learned("a", "e") == learned()


def test_a_cursor_of_something_else_is_refused(store: Store) -> None:
    for cursor in ("x", "{}", "[1, 2]", '["2026-01-01"]'):
        with pytest.raises(InvalidInput, match="cursor"):
            store.list_outcomes(cursor=cursor)


# --- rows --------------------------------------------------------------------------------------

any_text = st.text(st.characters(exclude_categories=()), max_size=20)
times = st.datetimes(timezones=st.just(UTC))
outcomes = st.builds(
    Outcome,
    id=any_text,
    at=times,
    tenant=any_text,
    principal=any_text,
    query=any_text,
    entry=any_text.map(EntryId),
    verdict=st.sampled_from(Verdict),
    source=st.sampled_from(OutcomeSource),
    weight=st.floats(0, 1),
)


def stored(kind: type[SQLModel], values: dict[str, Any]) -> Any:
    """Pass each column through its type as a database would, text being all that it takes."""
    dialect = sqlite.dialect()
    table = SQLModel.metadata.tables[str(kind.__tablename__)]
    assert values.keys() == {column.name for column in table.columns}
    read = dict(values)
    for column in table.columns:
        if isinstance(column.type, TypeDecorator):
            bound = column.type.process_bind_param(values[column.name], dialect)
            read[column.name] = column.type.process_result_value(bound, dialect)
    return kind(**read)


@given(outcomes)
def test_an_outcome_survives_its_row(one: Outcome) -> None:
    assert outcome_from(stored(OutcomeRow, outcome_columns(one))) == one


@given(st.binary() | st.none(), any_text, times)
def test_what_is_learned_survives_its_row(adapter: bytes | None, name: str, at: datetime) -> None:
    one = Learned(tenant=name, encoder_id=name, at=at, report={"x": [1]}, adapter=adapter)
    assert learned_from(stored(LearnedRow, learned_columns(one))) == one


@given(any_text, any_text)
def test_queries_have_one_hash_exactly_when_they_are_the_same(one: str, other: str) -> None:
    hashes = {outcome(1, query=query).query_hash for query in (one, other)}
    assert len(hashes) == len({one, other})
