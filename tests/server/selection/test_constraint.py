"""Hard limits: each of them excludes what breaks it and what is unknown, and says so."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.constraint import (
    Ability,
    Constraints,
    license_allowed,
    limits_of,
    violations_of,
)

DAY = date(2026, 10, 1)


def known(value: Any) -> Known[Any]:
    return Known(value, "catalogue", DAY)


GOOD = Candidate(
    Model(
        name="acme/m",
        descriptor=ModelDescriptor(
            license=known("Apache-2.0"),
            open_weights=known(True),
            parameters_b=known(7.0),
            modalities_in=known(("text", "image")),
            modalities_out=known(("text",)),
            context_tokens=known(128_000),
            max_output_tokens=known(8_000),
            tool_call=known(True),
            structured_output=known(True),
            reasoning=known(True),
        ),
    ),
    Offer(
        provider="Acme",
        remote_model="m",
        region=known("eu-west-1"),
        price_in_usd=known(1.0),
        price_out_usd=known(4.0),
    ),
)
BLANK = Candidate(Model(name="blank"), Offer(provider="nobody", remote_model="blank"))

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("price_in_usd", {"max_price_in_usd": 1.0}, {"max_price_in_usd": 0.99}),
    ("price_out_usd", {"max_price_out_usd": 4.0}, {"max_price_out_usd": 0.0}),
    (
        "cost_usd",
        {"max_cost_usd": 5.0, "tokens_in": 1_000_000, "tokens_out": 1_000_000},
        {"max_cost_usd": 4.99, "tokens_in": 1_000_000, "tokens_out": 1_000_000},
    ),
    ("context_tokens", {"min_context_tokens": 128_000}, {"min_context_tokens": 128_001}),
    ("max_output_tokens", {"min_output_tokens": 8_000}, {"min_output_tokens": 8_001}),
    (
        "modalities_in",
        {"modalities_in": frozenset({"IMAGE"})},
        {"modalities_in": frozenset({"text", "audio"})},
    ),
    (
        "modalities_out",
        {"modalities_out": frozenset({"text"})},
        {"modalities_out": frozenset({"image"})},
    ),
    (
        "license",
        {"licenses": frozenset({"mit", "apache-2.0"})},
        {"licenses": frozenset({"MIT"})},
    ),
    ("open_weights", {"open_weights": True}, {"open_weights": False}),
    ("region", {"regions": frozenset({"EU"})}, {"regions": frozenset({"us", "eu-west-2"})}),
    ("parameters_b", {"max_parameters_b": 7.0}, {"max_parameters_b": 6.9}),
]


def violations(candidate: Candidate, **limits: Any):
    return violations_of(candidate, limits_of(Constraints(**limits)))


@pytest.mark.parametrize(("field", "met", "broken"), CASES, ids=[case[0] for case in CASES])
def test_a_limit_passes_what_meets_it_and_names_what_breaks_it(field, met, broken):
    assert violations(GOOD, **met) == ()
    (violation,) = violations(GOOD, **broken)
    assert violation.field == field
    assert violation.value is not None
    assert violation.bound
    assert (violation.source, violation.as_of) == ("catalogue", DAY)
    assert field in str(violation)
    assert "catalogue, 2026-10-01" in str(violation)


@pytest.mark.parametrize(("field", "met", "broken"), CASES, ids=[case[0] for case in CASES])
def test_unknown_passes_no_limit(field, met, broken):
    for limits in (met, broken):
        (violation,) = violations(BLANK, **limits)
        assert violation.field == field
        assert violation.value is None
        assert "unknown" in str(violation)


@pytest.mark.parametrize("ability", list(Ability))
def test_an_ability_must_be_known_to_be_there(ability):
    wanted = frozenset({ability})
    assert violations(GOOD, abilities=wanted) == ()
    without = replace(GOOD.model.descriptor, **{ability.value: known(False)})
    lacking = replace(GOOD, model=replace(GOOD.model, descriptor=without))
    assert [v.value for v in violations(lacking, abilities=wanted)] == [False]
    assert [v.value for v in violations(BLANK, abilities=wanted)] == [None]


def test_providers_are_allowed_and_denied_in_any_case():
    assert violations(GOOD, providers=frozenset({"ACME"})) == ()
    assert violations(GOOD, without_providers=frozenset({"other"})) == ()
    (refused,) = violations(GOOD, without_providers=frozenset({"acme"}))
    assert (refused.field, refused.value) == ("provider", "Acme")
    (nobody,) = violations(Candidate(GOOD.model), without_providers=frozenset({"acme"}))
    assert nobody.value is None


def test_every_broken_limit_is_named_not_only_the_first():
    found = violations(GOOD, max_price_in_usd=0.5, min_context_tokens=10**9, open_weights=False)
    assert [v.field for v in found] == ["price_in_usd", "context_tokens", "open_weights"]


def test_zero_is_a_known_price():
    free = Candidate(GOOD.model, Offer(provider="p", remote_model="m", price_in_usd=known(0.0)))
    assert violations(free, max_price_in_usd=0.0) == ()


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("Apache-2.0", False),
        ("MIT OR Apache-2.0", True),
        ("MIT AND BSD-3-Clause", True),
        ("MIT AND Apache-2.0", False),
        ("Apache-2.0 OR MIT AND BSD-3-Clause", True),
        ("MIT AND (BSD-3-Clause OR MIT)", False),
        ("", False),
    ],
)
def test_license_expressions_are_read_as_spdx_has_them(expression, allowed):
    assert license_allowed(expression, frozenset({"mit", "bsd-3-clause"})) is allowed


@pytest.mark.parametrize(
    "limits",
    [{"max_price_in_usd": -1}, {"min_context_tokens": -1}, {"max_cost_usd": float("nan")}],
)
def test_limits_below_zero_are_refused(limits):
    with pytest.raises(InvalidInput, match=next(iter(limits))):
        Constraints(tokens_in=1, **limits).check()


def test_a_cost_limit_needs_the_size_of_a_call():
    with pytest.raises(InvalidInput, match="tokens_in"):
        Constraints(max_cost_usd=1).check()
    Constraints(max_cost_usd=1, tokens_out=10).check()


def test_contradictions_are_said():
    assert Constraints().contradictions() == ()
    (empty,) = Constraints(licenses=frozenset()).contradictions()
    assert "licenses" in empty
    (clash,) = Constraints(
        providers=frozenset({"A"}), without_providers=frozenset({"a", "b"})
    ).contradictions()
    assert "without_providers" in clash


def test_empty_means_that_nothing_is_limited():
    assert Constraints().is_empty
    assert Constraints(tokens_in=5).is_empty
    assert not Constraints(licenses=frozenset()).is_empty
    assert not Constraints(max_price_in_usd=0).is_empty
