from __future__ import annotations

from collections import Counter

import pytest

from toolcrib_embeddings import FloatVector
from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION
from toolcrib_embeddings.queries.negation import read_query
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.store import Store
from toolcrib_registry.types import Outcome
from toolcrib_server.learning.library import documents, vectors_of
from toolcrib_server.learning.retrieval import IndexRetriever
from toolcrib_server.learning.simulation import (
    ATTACKS,
    Attack,
    JudgedQueries,
    Plan,
    SetResult,
    Wrong,
    query_hash,
    simulate,
)

PLAN = Plan(outcomes=120, share=0.6, unseen=60, seed=7)


def run(store: Store, lived: list[Outcome], *attacks: Attack, plan: Plan = PLAN) -> SetResult:
    encoder = HashEncoder()
    corpus = documents(store, encoder, DEFAULT_REPRESENTATION, store.iter_entries(live=True))
    texts = [read_query(one.query).text for one in lived]
    known: dict[str, FloatVector] = dict(zip(texts, encoder.encode(texts), strict=True))
    hashed = {query_hash(one.query): known[read_query(one.query).text] for one in lived}
    judged = JudgedQueries(
        name="errands",
        entries=tuple(document.id for document, _ in corpus),
        queries={one.id: one.query for one in lived},
        relevant={one.id: frozenset([one.entry]) for one in lived},
    )
    retriever = IndexRetriever(corpus, encoder, known)
    vectors = vectors_of(encoder, hashed, corpus)
    return simulate(judged, retriever, vectors, plan=plan, attacks=attacks)


def test_unseen_queries_gain_by_what_others_taught(store: Store, lived: list[Outcome]) -> None:
    result = run(store, lived)

    (trial,) = result.trials
    assert (result.asked, result.unseen, trial.outcomes) == (120, 60, 120)
    assert trial.attack is None
    assert trial.used is not None
    assert trial.gain.low > 0.1
    assert result.before == pytest.approx(trial.gain.after - trial.gain.gain)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_fifth_of_wrong_outcomes_does_no_harm(
    store: Store, lived: list[Outcome], attack: Attack
) -> None:
    _, trial = run(store, lived, attack).trials
    assert trial.attack == attack.name
    assert trial.outcomes == 120
    assert trial.gain.gain >= 0


def test_where_most_is_wrong_the_gate_uses_nothing_or_gains(
    store: Store, lived: list[Outcome]
) -> None:
    _, trial = run(store, lived, Attack(Wrong.SLANDER, 2, share=0.9)).trials
    assert trial.used is None or trial.gain.gain >= 0


def test_the_same_seed_gives_the_same_result(store: Store, lived: list[Outcome]) -> None:
    attack = ATTACKS[0]
    assert run(store, lived, attack) == run(store, lived, attack)
    other = Plan(outcomes=120, share=0.6, unseen=60, seed=8)
    assert run(store, lived, attack) != run(store, lived, attack, plan=other)


def test_the_attacks_are_of_every_kind_by_few_and_by_many() -> None:
    assert Counter(attack.says for attack in ATTACKS) == dict.fromkeys(Wrong, 2)
    assert {attack.principals for attack in ATTACKS} == {2, 100}
    assert {attack.share for attack in ATTACKS} == {0.2}
