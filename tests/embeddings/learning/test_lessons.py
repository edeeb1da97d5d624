from __future__ import annotations

from toolcrib_embeddings.learning.adapter import train_adapter
from toolcrib_embeddings.learning.lessons import Lessons
from toolcrib_embeddings.learning.memory import QueryMemory

from ..outcomes import NOW, A, centre_of, outcome, vectors_of


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
