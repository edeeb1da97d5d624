from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_embeddings import FloatVector, Hit, Ranking
from toolcrib_embeddings.adapter import train_adapter
from toolcrib_embeddings.hits import LEARNED
from toolcrib_embeddings.lessons import Lessons, blend
from toolcrib_embeddings.memory import QueryMemory
from toolcrib_registry.types import EntryId, Outcome, OutcomeSource, Verdict

NOW = datetime(2026, 8, 1, tzinfo=UTC)
A, B, C = (EntryId(f"tool:{name}") for name in "abc")
DIMENSION = 16


def outcome(query: str, entry: EntryId = A, principal: str = "p", **fields: Any) -> Outcome:
    """Make an outcome; ``days`` is how old it is."""
    age = timedelta(days=fields.pop("days", 0))
    given: dict[str, Any] = {
        "id": f"{query}/{entry}/{principal}/{age}",
        "at": NOW - age,
        "tenant": "t",
        "verdict": Verdict.WORKED,
        "source": OutcomeSource.CALL,
    }
    return Outcome(query=query, entry=entry, principal=principal, **(given | fields))


def vectors_of(outcomes: Iterable[Outcome], spread: float = 0.3) -> dict[str, FloatVector]:
    """Give every query its own vector; queries that begin with one letter are alike."""
    found: dict[str, FloatVector] = {}
    for one in outcomes:
        draw = np.random.default_rng(int(one.query_hash[:8], 16))
        noise = spread * draw.normal(size=DIMENSION) / np.sqrt(DIMENSION)
        centre = np.zeros(DIMENSION)
        centre[ord(one.query[0]) % DIMENSION] = 1
        found[one.query_hash] = ((centre + noise) / np.linalg.norm(centre + noise)).astype(
            np.float32
        )
    return found


def centre_of(letter: str) -> FloatVector:
    """Give the vector at the middle of the queries that begin with a letter."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[ord(letter) % DIMENSION] = 1
    return vector


RANKING = Ranking((Hit(A, 2.0, {}), Hit(B, 1.0, {})), steps=("x",))


def test_evidence_moves_hits_by_as_much_as_it_says() -> None:
    moved = blend(RANKING, {B: 1.5}, known=[A, B], k=5)
    assert [(hit.id, hit.score) for hit in moved.hits] == [(B, 2.5), (A, 2.0)]
    assert moved.hits[0].signals[LEARNED].score == 1.5
    assert moved.hits[1] == RANKING.hits[0]
    assert moved.steps == ("x",)


def test_what_was_not_recalled_is_added_only_where_it_is_known_and_spoken_for() -> None:
    said = {C: 4.0, EntryId("tool:gone"): 4.0, EntryId("tool:bad"): -1.0}
    moved = blend(RANKING, said, known=[A, B, C, EntryId("tool:bad")], k=5)
    assert [(hit.id, hit.score) for hit in moved.hits] == [(C, 5.0), (A, 2.0), (B, 1.0)]


def test_evidence_against_a_hit_lowers_it() -> None:
    assert blend(RANKING, {A: -3.0}, known=[A, B], k=5).ids == [B, A]


def test_without_evidence_nothing_moves() -> None:
    assert blend(RANKING, {}, known=[], k=2) is RANKING
    assert blend(RANKING, {}, known=[], k=1).ids == [A]


ids = st.sampled_from([EntryId(f"tool:{n}") for n in range(6)])


@given(
    st.lists(st.tuples(ids, st.floats(-5, 5)), unique_by=lambda pair: pair[0]),
    st.dictionaries(ids, st.floats(-4, 4)),
    st.integers(1, 6),
)
def test_the_best_come_first_and_none_twice(
    scored: list[tuple[EntryId, float]], said: dict[EntryId, float], k: int
) -> None:
    order = sorted(scored, key=lambda pair: -pair[1])
    ranking = Ranking(tuple(Hit(id_, score, {}) for id_, score in order))

    moved = blend(ranking, said, known=list(said), k=k)

    scores = [hit.score for hit in moved.hits]
    assert scores == sorted(scores, reverse=True)
    assert len(set(moved.ids)) == len(moved.ids) <= k


def test_lessons_turn_and_weigh_by_what_they_hold() -> None:
    outcomes = [outcome(f"q{n}", A, f"p{n}") for n in range(30)]
    vectors = vectors_of(outcomes)
    memory = QueryMemory.of(outcomes, vectors)
    adapter = train_adapter(outcomes, vectors, {A: centre_of("b")}, encoder_id="e")
    asked = centre_of("q")
    nothing = Lessons("t", "1")
    both = Lessons("t", "1", adapter, memory, strength=4.0)

    assert nothing.turn(asked) is asked
    assert nothing.evidence(asked, now=NOW) == {}
    assert both.turn(asked) @ centre_of("b") > 0.8
    assert 2 < both.evidence(asked, now=NOW)[A] <= 4
    assert Lessons("t", "1", adapter, memory).evidence(asked, now=NOW) == {}
    assert Lessons("other", "1", adapter, memory, 4.0).evidence(asked, now=NOW) == {}
