from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput, NotFound
from toolcrib_registry.store import Store
from toolcrib_registry.types import Domain, ModelOutcome, RatingSource

START = datetime(2026, 8, 1, tzinfo=UTC)


def outcome(number: int, **fields: Any) -> ModelOutcome:
    given: dict[str, Any] = {
        "id": f"o{number:03}",
        "at": START + timedelta(minutes=number),
        "tenant": "local",
        "principal": "key-1",
        "query": f"how \0 many {number}",
        "model": "org/small",
        "score": 0.5,
        "cost_usd": 0.001,
        "latency_ms": 12.5,
        "source": RatingSource.VERIFIER,
    }
    return ModelOutcome(**(given | fields))


def test_outcomes_come_back_as_they_were_oldest_first(store: Store) -> None:
    written = [outcome(n, tenant="ab"[n % 2], score=None if n == 2 else 1.0) for n in range(5)]
    store.routing.record([*reversed(written)])
    store.routing.record([])

    assert store.routing.list_outcomes("a") == tuple(written[::2])
    counts = store.routing.count()
    assert {tenant: count.outcomes for tenant, count in counts.items()} == {"a": 3, "b": 2}
    assert counts["a"].latest == written[4].at
    assert store.head() == 0


def test_the_same_outcome_twice_counts_once(store: Store) -> None:
    store.routing.record([outcome(1), outcome(1)])
    store.routing.record([replace(outcome(1), score=0.25)])

    assert [one.score for one in store.routing.list_outcomes("local")] == [0.25]


def test_outcomes_are_found_by_their_ids(store: Store) -> None:
    store.routing.record([outcome(1), outcome(2)])

    assert store.routing.find_outcomes(["o002", "o009"]) == {"o002": outcome(2)}
    assert store.routing.find_outcomes([]) == {}


def test_only_the_latest_are_kept(store: Store) -> None:
    store.routing.record([outcome(n) for n in range(6)] + [outcome(9, tenant="other")], keep=2)

    assert [one.id for one in store.routing.list_outcomes("local")] == ["o004", "o005"]
    assert len(store.routing.list_outcomes("other")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 1.5},
        {"score": float("nan")},
        {"cost_usd": -1.0},
        {"latency_ms": float("inf")},
        {"query": " "},
        {"model": ""},
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    store: Store, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        store.routing.record([outcome(1), outcome(2, **wrong)])

    assert store.routing.count() == {}


def test_outcomes_are_forgotten_by_what_fits(store: Store) -> None:
    store.routing.record([outcome(n, model="ab"[n % 2]) for n in range(4)])

    assert store.routing.forget(model="a", before=START + timedelta(minutes=1)) == 1
    assert store.routing.forget(tenant="nobody") == 0
    assert store.routing.forget(principal="key-1") == 3
    with pytest.raises(InvalidInput, match="what to forget"):
        store.routing.forget()


def test_a_domain_is_its_last_examples_in_order(store: Store) -> None:
    store.routing.put_domain(Domain("law", ("old",)))
    store.routing.put_domain(Domain("law", ("b", "a", "b")))
    store.routing.put_domain(Domain("finance", ("x",)))

    assert store.routing.list_domains() == (Domain("finance", ("x",)), Domain("law", ("b", "a")))
    store.routing.remove_domain("law")
    assert [domain.name for domain in store.routing.list_domains()] == ["finance"]
    with pytest.raises(NotFound, match="finance"):
        store.routing.remove_domain("finanse")
