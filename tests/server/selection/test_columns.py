"""Columns: the same answer as one candidate at a time, for any candidates and any limits."""

from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.choices import Objective
from toolcrib_server.selection.columns import Columns, sieve
from toolcrib_server.selection.constraint import (
    Ability,
    Constraints,
    Exclusion,
    limits_of,
    violations_of,
)
from toolcrib_server.selection.ranking import choose_from

DAY = date(2026, 10, 1)


def known(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values.map(lambda value: Known(value, "catalogue", DAY))


PRICES = known(st.sampled_from([0.0, 0.1, 1.0, 2.5, 30.0]))
TOKENS = known(st.sampled_from([0, 1000, 8192, 128000]))
FLAGS = known(st.booleans())
WORDS = known(st.sampled_from([("text",), ("text", "image"), ()]))
OFFERS = st.builds(
    Offer,
    provider=st.sampled_from(["a", "B", "c"]),
    remote_model=st.just("m"),
    region=known(st.sampled_from(["eu", "eu-west-1", "us"])),
    price_in_usd=PRICES,
    price_out_usd=PRICES,
    context_tokens=TOKENS,
    tool_call=FLAGS,
    open_weights=FLAGS,
    modalities_in=WORDS,
)
DESCRIPTORS = st.builds(
    ModelDescriptor,
    license=known(st.sampled_from(["MIT", "Apache-2.0 OR MIT", "proprietary"])),
    parameters_b=known(st.sampled_from([7.0, 70.0])),
    context_tokens=TOKENS,
    tool_call=FLAGS,
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.builds(Model, name=st.sampled_from(["m", "n", "o"]), descriptor=DESCRIPTORS),
        st.none() | OFFERS,
        st.sampled_from([0.0, 0.5, 0.9]),
    ),
    max_size=12,
)
MAYBE = st.none()
LIMITS = st.builds(
    Constraints,
    max_price_in_usd=MAYBE | st.sampled_from([0.0, 1.0, 5.0]),
    max_cost_usd=MAYBE | st.sampled_from([0.0, 0.001, 1.0]),
    tokens_in=st.sampled_from([0, 1000]),
    tokens_out=st.sampled_from([0, 500]),
    min_context_tokens=MAYBE | st.sampled_from([1000, 8192]),
    modalities_in=st.sampled_from([frozenset[str](), frozenset({"image"})]),
    licenses=MAYBE | st.just(frozenset({"mit"})),
    open_weights=MAYBE | st.booleans(),
    regions=MAYBE | st.just(frozenset({"eu"})),
    abilities=st.sampled_from([frozenset[Ability](), frozenset({Ability.TOOL_CALL})]),
    max_parameters_b=MAYBE | st.just(10.0),
    providers=MAYBE | st.just(frozenset({"b", "c"})),
    without_providers=st.sampled_from([frozenset[str](), frozenset({"C"})]),
)


def slowly(candidates: list[Candidate], constraints: Constraints):
    """Hold one candidate after another against one limit after another."""
    limits = limits_of(constraints)
    passed = [c for c in candidates if not violations_of(c, limits)]
    excluded = [Exclusion(c, v) for c in candidates if (v := violations_of(c, limits))]
    return passed, excluded


def order(candidate: Candidate, objective: Objective, constraints: Constraints):
    cost = candidate.cost_usd(
        tokens_in=constraints.tokens_in or 0, tokens_out=constraints.tokens_out or 0
    )
    price = cost.value if cost else float("inf")
    names = (candidate.model.name, candidate.provider or "")
    context = candidate.context_tokens
    return {
        Objective.RELEVANCE: (-candidate.relevance, price, *names),
        Objective.COST: (price, -candidate.relevance, *names),
        Objective.CONTEXT: (
            -context.value if context else 1,
            -candidate.relevance,
            price,
            *names,
        ),
    }[objective]


@settings(max_examples=300, deadline=None)
@given(CANDIDATES, LIMITS, st.sampled_from([*Objective]))
def test_columns_exclude_and_rank_exactly_as_one_candidate_at_a_time(
    candidates: list[Candidate], constraints: Constraints, objective: Objective
):
    found = choose_from(Columns(candidates), constraints, objective=objective)
    passed, excluded = slowly(candidates, constraints)
    assert list(found.exclusions) == excluded
    assert (found.passed, found.considered) == (len(passed), len(candidates))
    ranked = sorted(passed, key=lambda candidate: order(candidate, objective, constraints))
    by_model: dict[str, list[Candidate]] = {}
    for candidate in ranked:
        by_model.setdefault(candidate.model.name, []).append(candidate)
    chosen = [[choice.candidate, *choice.alternatives] for choice in found.choices]
    assert chosen == list(by_model.values())
    counted = Counter(
        field for e in excluded for field in dict.fromkeys(v.field for v in e.violations)
    )
    assert list(found.excluded_by.items()) == counted.most_common()


def test_why_is_worked_out_for_what_is_looked_at_alone():
    offer = Offer(provider="p", remote_model="m")
    columns = Columns(Candidate(Model(name=f"m{n}"), offer) for n in range(50))
    found = choose_from(columns, Constraints(max_price_in_usd=1.0))
    assert len(found.exclusions) == 50
    assert [e.candidate.model.name for e in found.exclusions[:2]] == ["m0", "m1"]
    assert found.exclusions[-1].violations[0].value is None
    with pytest.raises(IndexError):
        found.exclusions[50]


def test_a_sieve_over_no_candidates_lets_none_through():
    kept = sieve(Columns([]), limits_of(Constraints(max_price_in_usd=1.0)))
    assert (len(kept.passed), len(kept.excluded), kept.by_field) == (0, 0, {})
