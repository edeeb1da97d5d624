"""What the order of calls teaches, and what it does not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from toolcrib_registry.types import CallStep, EntryId, ServerName
from toolcrib_server.learning.following import HALF_LIFE_DAYS, follow

START = datetime(2026, 8, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
HOUR = timedelta(hours=1)


def entry(name: str) -> EntryId:
    return EntryId(f"tool:{name}")


def rows(*runs: str, principal: str = "p", start: datetime = START) -> list[CallStep]:
    """Give a row of calls for each text of names: an hour lies between two rows."""
    return [
        CallStep(
            start + number * HOUR + timedelta(seconds=place),
            principal,
            entry(name),
            ServerName(name.partition("__")[0]),
        )
        for number, run in enumerate(runs)
        for place, name in enumerate(run.split())
    ]


def learned(*steps: Iterable[CallStep]) -> dict[str, list[str]]:
    ordered = sorted((step for each in steps for step in each), key=lambda step: step.at)
    found = follow(ordered, now=NOW)
    return {
        tool.removeprefix("tool:"): [one.entry.removeprefix("tool:") for one in its]
        for tool, its in found.items()
    }


ORDERED = ("chat__list chat__ban",) * 5


def test_what_always_comes_before_is_needed_and_says_how_often() -> None:
    assert learned(rows(*ORDERED)) == {"chat__ban": ["chat__list"]}
    (found,) = follow(rows(*ORDERED), now=NOW)[entry("chat__ban")]
    assert (found.share, found.runs, found.principals) == (1.0, 5, 1)
    assert found.why == "called before it in 100% of the rows of calls with it, by 1 principal"


@pytest.mark.parametrize(
    "runs",
    [
        ORDERED[:4],
        (*ORDERED, "chat__ban", "chat__ban"),
        ("chat__ban chat__list",) * 2 + ORDERED,
        (*ORDERED, *("chat__list",) * 40),
        (*ORDERED, *("chat__list chat__other",) * 20),
        ("chat__list", "chat__ban") * 10,
    ],
)
def test_what_is_seldom_or_comes_anyway_is_not(runs: tuple[str, ...]) -> None:
    assert "chat__ban" not in learned(rows(*runs))


def test_one_mistake_in_ten_is_forgiven() -> None:
    assert learned(rows(*ORDERED, *ORDERED, "chat__ban")) == {"chat__ban": ["chat__list"]}


def test_a_pause_begins_something_else() -> None:
    steps = rows("chat__list", "chat__ban", "chat__list", "chat__ban") * 5
    assert learned(steps) == {}


def test_old_rows_count_less_than_new_ones() -> None:
    old = rows(*ORDERED, *ORDERED, start=NOW - 6 * timedelta(days=HALF_LIFE_DAYS))
    assert learned(old, rows(*("chat__ban",) * 2, start=NOW - HOUR * 9)) == {}


def test_one_alone_does_not_tie_two_servers_and_three_do() -> None:
    runs = ("mail__find pay__send",) * 20
    assert learned(rows(*runs)) == {}
    assert learned(rows(*runs, principal="a"), rows(*runs, principal="b")) == {}
    three = [rows(*runs[:2], principal=who) for who in "abc"]
    assert learned(*three) == {"pay__send": ["mail__find"]}


def test_where_three_call_three_must_agree() -> None:
    loud = rows(*("chat__list chat__ban",) * 200, principal="loud")
    others = [rows("chat__write", principal=who) for who in "ab"]
    assert learned(loud, others[0]) == {}
    assert learned(loud, *others) == {}
    agreeing = [rows(*ORDERED[:2], principal=who) for who in "ab"]
    assert learned(loud, *agreeing) == {"chat__ban": ["chat__list"]}


def test_a_flood_by_one_neither_promotes_nor_silences() -> None:
    flood = rows(*("chat__evil chat__ban",) * 400, principal="evil")
    honest = [rows(*ORDERED, *ORDERED, principal=who) for who in ("a", "b", "c")]
    assert learned(flood, *honest) == {"chat__ban": ["chat__list"]}


@pytest.mark.parametrize("attackers", [1, 2, 10, 40])
def test_a_fifth_of_poisoned_rows_changes_nothing(attackers: int) -> None:
    draw = random.Random(7)
    honest = [rows(*ORDERED * 4, principal=f"p{n}") for n in range(8)]
    poison = [
        rows(
            *(f"chat__{draw.choice('xyz')} chat__ban" for _ in range(40 // attackers)),
            principal=f"q{n}",
        )
        for n in range(attackers)
    ]
    assert learned(*honest) == {"chat__ban": ["chat__list"]}
    assert learned(*honest, *poison) == {"chat__ban": ["chat__list"]}


def test_three_at_most() -> None:
    found = learned(rows(*("c__a c__b c__d c__e c__z",) * 6))
    assert found["c__z"] == ["c__a", "c__b", "c__d"]


def test_twenty_thousand_calls_are_learned_from_in_a_second_or_two() -> None:
    draw = random.Random(3)
    runs = [" ".join(f"s__{draw.randrange(500)}" for _ in range(10)) for _ in range(2_000)]
    began = time.process_time()
    learned(rows(*runs))
    assert time.process_time() - began < 5
