from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings.learning.memory import MemoryOptions, QueryMemory
from toolcrib_registry.types import EntryId, Outcome, Verdict

from ..outcomes import NOW, A, B, C, centre_of, outcome, vectors_of

LONE = MemoryOptions().lone_voice
CROWD = [outcome(f"z{n}", C, f"other-{n}") for n in range(3)]
"""Three principals, who ask of something else: enough that nobody is alone."""


def evidence(
    outcomes: Sequence[Outcome], letter: str = "q", tenant: str = "t"
) -> dict[EntryId, float]:
    memory = QueryMemory.of(outcomes, vectors_of(outcomes))
    return dict(memory.evidence(centre_of(letter), now=NOW, tenant=tenant))


many = st.lists(
    st.builds(
        outcome,
        st.sampled_from(["q1", "q2", "q3", "r1", "z1"]),
        st.sampled_from([A, B, C]),
        st.sampled_from(["p", "x", "y", "z"]),
        verdict=st.sampled_from(Verdict),
        weight=st.floats(0, 1),
        days=st.integers(0, 400),
    ),
    max_size=30,
).map(lambda outcomes: [replace(one, id=f"{n:03}") for n, one in enumerate(outcomes)])


def test_what_worked_for_a_like_query_is_spoken_for() -> None:
    outcomes = [outcome(f"q{n}", A, f"p{n}") for n in range(5)] + CROWD

    found = evidence(outcomes)

    assert found[A] > 0.5
    assert C not in found
    assert evidence(outcomes, letter="m") == {}


def test_what_failed_is_spoken_against() -> None:
    outcomes = [outcome(f"q{n}", A, f"p{n}", verdict=Verdict.REJECTED) for n in range(5)]
    assert evidence(outcomes)[A] < -0.5


def test_those_for_and_against_cancel() -> None:
    said = [(Verdict.WORKED, "p0"), (Verdict.FAILED, "p1"), (Verdict.CHOSEN, "p2")]
    said += [(Verdict.REJECTED, "p3")]
    outcomes = [outcome("q1", A, who, verdict=verdict) for verdict, who in said]
    assert abs(evidence(outcomes).get(A, 0.0)) < 1e-3


def test_a_principal_that_contradicts_itself_says_nothing() -> None:
    outcomes = [
        outcome("q1", A, "p", id="1"),
        outcome("q1", A, "p", id="2", verdict=Verdict.FAILED),
    ]
    assert evidence([*outcomes, *CROWD]) == {}


@given(many)
def test_evidence_stays_within_bounds(outcomes: list[Outcome]) -> None:
    assert all(-1 <= score <= 1 for score in evidence(outcomes).values())


@given(st.integers(1, 60), st.floats(0, 1), st.sampled_from(Verdict))
def test_a_principal_alone_cannot_say_more_than_its_share(
    count: int, weight: float, verdict: Verdict
) -> None:
    alone = [outcome(f"q{n}", A, "attacker", verdict=verdict, weight=weight) for n in range(count)]

    found = evidence([*alone, *CROWD])

    assert abs(found.get(A, 0.0)) <= LONE * weight + 1e-6


def test_several_independent_principals_say_more_than_one_that_repeats_itself() -> None:
    alone = [outcome(f"q{n}", A, "p") for n in range(6)]
    together = [outcome(f"q{n}", A, f"p{n}") for n in range(6)]
    assert evidence([*alone, *CROWD])[A] <= LONE < evidence([*together, *CROWD])[A]


def test_what_search_never_recalls_needs_witnesses() -> None:
    unseen = {"weight": 0.1}
    alone = [outcome(f"q{n}", A, "p", **unseen) for n in range(6)]
    together = [outcome(f"q{n}", A, f"p{n}", **unseen) for n in range(6)]
    assert evidence([*alone, *CROWD]).get(A, 0.0) <= 0.1 * LONE + 1e-6
    assert evidence([*together, *CROWD])[A] > 0.5


def test_a_flood_of_one_principal_does_not_drown_the_others() -> None:
    honest = [outcome(f"q{n}", A, f"p{n}") for n in range(6)]
    known = [outcome(f"z{n}{m}", C, f"p{n}") for n in range(6) for m in range(5)]
    flood = [outcome(f"q{n}", B, "attacker") for n in range(6, 400)]

    found = evidence([*honest, *known, *flood])

    assert found[A] > found.get(B, 0.0)


def test_nobody_fills_a_memory_that_others_share() -> None:
    crowd = [outcome(f"z{n}", C, f"p{n % 4}") for n in range(40)]
    flood = [outcome(f"q{n}", B, "attacker", days=n // 400) for n in range(1_200)]
    outcomes = [*crowd, *flood]
    memory = QueryMemory.of(outcomes, vectors_of(outcomes))
    assert memory.size <= 40 + 2 * len(outcomes) // 5
    alone = QueryMemory.of(flood, vectors_of(flood))
    assert alone.size == 1_200


def test_saying_it_again_changes_nothing() -> None:
    once = [outcome("q1", A, "p"), *CROWD]
    often = [outcome("q1", A, "p", id=f"again-{n}") for n in range(50)]
    assert evidence([*once, *often]) == pytest.approx(evidence(once))


def test_what_one_may_say_in_a_day_is_limited() -> None:
    first = [outcome(f"y{n}", C, "p", id=f"1-{n:04}") for n in range(500)]
    later = [outcome("q1", A, "p", id="2")]
    assert A not in evidence([*first, *later])
    assert A in evidence([*first[:-1], *later])


def test_one_user_alone_is_heard_when_its_own_queries_agree() -> None:
    once = evidence([outcome("q1", A)])[A]
    often = evidence([outcome(f"q{n}", A) for n in range(5)])[A]
    assert once <= LONE < often


@given(st.integers(0, 700), st.integers(1, 700))
def test_evidence_fades_with_age(days: int, more: int) -> None:
    younger, older = ([outcome("q1", A, days=age), *CROWD] for age in (days, days + more))
    assert evidence(older).get(A, 0.0) <= evidence(younger).get(A, 0.0) + 1e-6


def test_after_a_half_life_the_newer_word_counts_double() -> None:
    days = int(MemoryOptions().half_life_days)
    old = [outcome(f"q{n}", A, f"p{n}", days=days) for n in range(4)]
    new = [outcome(f"q{n}", A, f"x{n}", verdict=Verdict.FAILED) for n in range(4)]
    total = sum(2.0**-1 for _ in old) + len(new)
    expected = (sum(2.0**-1 for _ in old) - len(new)) / total
    assert evidence([*old, *new])[A] == pytest.approx(expected, abs=0.02)


@given(many, many)
def test_tenants_do_not_hear_each_other(ours: list[Outcome], theirs: list[Outcome]) -> None:
    others = [outcome(o.query, o.entry, o.principal, tenant="other", id=o.id) for o in theirs]
    assert evidence([*ours, *others]) == evidence(ours)
    assert evidence(ours, tenant="nobody") == {}


@given(many)
def test_what_is_forgotten_has_no_influence(outcomes: list[Outcome]) -> None:
    kept = [one for one in outcomes if one.principal != "x"]
    memory = QueryMemory.of(kept, vectors_of(outcomes))
    assert dict(memory.evidence(centre_of("q"), now=NOW, tenant="t")) == evidence(kept)


@given(many, st.randoms())
def test_the_order_of_outcomes_does_not_matter(
    outcomes: list[Outcome], draw: random.Random
) -> None:
    shuffled = list(outcomes)
    draw.shuffle(shuffled)
    assert evidence(shuffled) == pytest.approx(evidence(outcomes), abs=1e-5)


def test_a_query_without_a_vector_is_left_out() -> None:
    outcomes = [outcome("q1", A), outcome("q2", B)]
    memory = QueryMemory.of(outcomes, vectors_of(outcomes[:1]))
    assert memory.size == 1
    assert set(memory.evidence(centre_of("q"), now=NOW, tenant="t")) == {A}


def test_an_empty_memory_says_nothing() -> None:
    memory = QueryMemory.of([], {})
    assert memory.evidence(centre_of("q"), now=NOW, tenant="t") == {}
    assert memory.size == 0


def test_the_shortlist_of_a_large_memory_finds_what_the_whole_walk_finds() -> None:
    draw = np.random.default_rng(3)
    centres = draw.normal(size=(60, 384))
    raw = centres[draw.integers(60, size=3_000)] + 0.7 * draw.normal(size=(3_000, 384))
    rows = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    outcomes = [outcome(f"{n}", EntryId(f"tool:{n}"), f"p{n % 9}") for n in range(3_000)]
    memory = QueryMemory.of(
        outcomes, {o.query_hash: v for o, v in zip(outcomes, rows, strict=True)}
    )

    shares: list[float] = []
    for row in range(0, 3_000, 100):
        said = memory.evidence(rows[row], now=NOW, tenant="t")
        near = np.sort(rows[[int(entry.split(":")[1]) for entry in said]] @ rows[row])[::-1]
        likeness = np.sort(rows @ rows[row])[::-1][: len(near)]
        assert len(near) > 8
        shares.append(float(np.isclose(near, likeness, atol=0.05).mean()))

    assert np.mean(shares) > 0.9
