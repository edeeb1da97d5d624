from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.learning.testimony import NEWCOMER_QUERIES, ROOM, hear, share_room
from toolcrib_registry.types import EntryId, Outcome, OutcomeSource, Verdict

NOW = datetime(2026, 8, 1, tzinfo=UTC)
A, B = EntryId("tool:a"), EntryId("tool:b")


def outcome(query: str, entry: EntryId = A, principal: str = "p", **fields: Any) -> Outcome:
    given: dict[str, Any] = {
        "id": f"{query}/{entry}/{principal}",
        "at": NOW,
        "tenant": "t",
        "verdict": Verdict.WORKED,
        "source": OutcomeSource.FEEDBACK,
    }
    return Outcome(query=query, entry=entry, principal=principal, **(given | fields))


def test_each_principal_has_one_voice_for_an_entry_and_a_query() -> None:
    said = hear(
        [
            outcome("q1", A, "p"),
            outcome("q1", A, "p", id="2", verdict=Verdict.FAILED, weight=0.2),
            outcome("q1", A, "p", id="3", at=NOW + timedelta(days=2)),
            outcome("q1", B, "p"),
            outcome("q1", A, "x"),
        ]
    )
    assert len(said) == 3
    assert said.verdict.tolist() == pytest.approx([1 / 3, 1, 1])
    assert said.plausibility.tolist() == [1, 1, 1]
    assert said.day[0] - said.day[1] == 2
    assert (said.entries, said.principals) == ((A, B), ("p", "x"))


def test_trust_grows_with_what_was_asked_and_falls_with_what_is_implausible() -> None:
    old = [outcome(f"q{n}", A, "old") for n in range(NEWCOMER_QUERIES)]
    odd = [outcome(f"q{n}", A, "odd", weight=0.1) for n in range(NEWCOMER_QUERIES)]
    said = hear([*old, *odd, outcome("q1", A, "new")])
    trust = dict(zip(said.principals, said.trust.tolist(), strict=True))
    assert trust == pytest.approx({"old": 0.5, "odd": 0.05, "new": 0.25})


def test_only_so_much_is_heard_of_one_principal_in_a_day() -> None:
    said = hear([outcome(f"q{n}", A) for n in range(8)], daily_limit=5)
    assert len(said) == 5
    over_days = [outcome(f"q{n}", A, at=NOW + timedelta(days=n)) for n in range(8)]
    assert len(hear(over_days, daily_limit=5)) == 8


def test_nothing_is_heard_of_nobody() -> None:
    said = hear([])
    assert (len(said), said.queries, said.trust.tolist()) == (0, (), [])


@given(st.lists(st.integers(1, 400), max_size=5))
def test_nobody_has_more_room_than_twice_an_even_share(counts: list[int]) -> None:
    outcomes = [
        outcome(f"{who}-{n}", A, f"p{who}", at=NOW + timedelta(minutes=n))
        for who, count in enumerate(counts)
        for n in range(count)
    ]
    kept = share_room(outcomes)
    for who, count in enumerate(counts):
        theirs = [one for one in kept if one.principal == f"p{who}"]
        room = max(ROOM, 2 * (sum(counts) // len(counts))) if len(counts) >= 3 else count
        assert len(theirs) == min(count, room)
        newest = [one for one in outcomes if one.principal == f"p{who}"][count - len(theirs) :]
        assert theirs == newest
