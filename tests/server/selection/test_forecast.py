"""What was measured enters every choice: cost, latency, reliability, limits; unknown stays so."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from toolcrib_registry.types import Known, Model, Offer
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.choices import Objective
from toolcrib_server.selection.columns import Columns, sieve
from toolcrib_server.selection.constraint import Constraints, limits_of, violations_of
from toolcrib_server.selection.forecast import ModelForecasts, Outlook
from toolcrib_server.selection.length import Length
from toolcrib_server.selection.measured import Figures, Lengths, Measurements
from toolcrib_server.selection.ranking import Prospect, choose_from
from toolcrib_server.selection.routing.choice import Preference

DAY = date(2026, 10, 1)
LENGTH = Length(tokens_in=1_000)


def offer(provider: str, price: float | None, **more: Any) -> Offer:
    fact = None if price is None else Known(price, "list", DAY)
    return Offer(provider=provider, remote_model="m", price_in_usd=fact, price_out_usd=fact, **more)


def columns_of(measured: dict[str, Figures], *offers: tuple[str, Offer]) -> Columns:
    """Lay offers out by the name of their model; figures are by ``model@provider``."""
    columns = Columns([Candidate(Model(name=name), one) for name, one in offers])
    by_offer = {f"{key}/m": figures for key, figures in measured.items()}
    lengths = {
        key.partition("@")[0]: Lengths(f.answered, f.answered * (f.tokens_out_mean or 0))
        for key, f in measured.items()
        if f.tokens_out_mean
    }
    total = Lengths(
        sum(one.answers for one in lengths.values()), sum(one.tokens for one in lengths.values())
    )
    return columns.with_measured(Measurements(1, by_offer, lengths, total))


def figures(calls: int = 100, **more: Any) -> Figures:
    given: dict[str, Any] = {
        "calls": calls,
        "error_rate": 0.0,
        "first_token_ms_p50": 100.0,
        "first_token_ms_p95": 200.0,
        "per_token_ms_p50": 10.0,
        "tokens_in": 0,
        "tokens_out": 0,
        "cost_usd": None,
        "last_at": datetime(2026, 11, 21, 9, tzinfo=UTC),
        "last_error": None,
        "answered": calls,
        "streamed": calls,
        "latency_ms_p95": 3_000.0,
        "base_ms": 100.0,
        "slope_ms": 10.0,
        "tokens_out_mean": 250.0,
    }
    return Figures(**(given | more))


def expected(columns: Columns, row: int, length: Length = LENGTH):
    outlook = Outlook(columns)
    return outlook.expected(row, length, outlook.at(length))


def ranked(columns: Columns, objective: Objective = Objective.COST, **more) -> list[str]:
    prospect = Prospect.of(Outlook(columns), LENGTH)
    found = choose_from(columns, objective=objective, prospect=prospect, **more)
    return [choice.candidate.label for choice in found.choices]


# --- what is expected --------------------------------------------------------------------------


def test_cost_is_price_times_tokens_and_the_answers_length_is_learned_from_calls() -> None:
    columns = columns_of({}, ("m", offer("a", 2.0)))
    plain = expected(columns, 0)
    assert plain.cost_usd == pytest.approx(2.0 * (1_000 + 250) / 1e6)
    assert (plain.latency_ms, plain.calls, plain.ground) == (None, 0, None)
    assert "an unknown time" in plain.reason
    talks = columns_of({"m@a": figures(tokens_out_mean=2_000.0)}, ("m", offer("a", 2.0)))
    learned = expected(talks, 0)
    assert 1_800 < learned.tokens_out < 2_000
    assert learned.cost_usd == pytest.approx(2.0 * (1_000 + learned.tokens_out) / 1e6, rel=1e-3)
    bounded = expected(talks, 0, Length(tokens_in=1_000, most_out=100, answers=2))
    assert bounded.tokens_out == 200
    assert expected(talks, 0, Length(tokens_in=10, tokens_out=7)).tokens_out == 7
    once = columns_of({"m@a": figures(1, tokens_out_mean=2_000.0)}, ("m", offer("a", 2.0)))
    assert 250 < expected(once, 0).tokens_out < 800, "one call says little"


def test_a_latency_of_few_calls_is_drawn_to_what_is_stated_or_to_the_models_other_offers() -> None:
    stated = Known(10_000.0, "card", DAY)
    long_known = columns_of({"m@a": figures(200)}, ("m", offer("a", 1.0)))
    own = expected(long_known, 0).latency_ms or 0.0
    assert own == pytest.approx(100 + 10 * 250)
    few = columns_of(
        {"m@a": figures(3)}, ("m", offer("a", 1.0, p95_latency_ms=stated)), ("m", offer("b", 1.0))
    )
    assert own < (expected(few, 0).latency_ms or 0) < 10_000
    assert expected(few, 1).latency_ms is None, "nobody called it, and nobody says"
    slow = figures(200, base_ms=9_000.0, slope_ms=0.0)
    beside = columns_of(
        {"m@a": figures(3), "m@b": slow}, ("m", offer("a", 1.0)), ("m", offer("b", 1.0))
    )
    assert own < (expected(beside, 0).latency_ms or 0) < 9_000
    uncalled = columns_of({}, ("m", offer("a", 1.0, p95_latency_ms=stated)))
    assert expected(uncalled, 0).latency_ms == 10_000


def test_what_calls_really_cost_corrects_their_price() -> None:
    dearer = figures(told=100, told_usd=3.0, priced_usd=1.0)
    corrected = columns_of({"m@a": dearer}, ("m", offer("a", 1.0)))
    plain = columns_of({"m@a": figures()}, ("m", offer("a", 1.0)))
    ratio = (expected(corrected, 0).cost_usd or 0) / (expected(plain, 0).cost_usd or 1)
    assert 2.8 < ratio < 3.0
    free = figures(told=100, told_usd=1.0, priced_usd=0.0)
    assert expected(columns_of({"m@a": free}, ("m", offer("a", 0.0))), 0).cost_usd == (
        pytest.approx(0.01, rel=0.06)
    )
    unpriced = figures(told=100, told_usd=1.0, told_tokens=125_000)
    told = columns_of({"m@a": unpriced}, ("m", offer("a", None)))
    assert expected(told, 0).cost_usd == pytest.approx(1_250 * 1.0 / 125_000)
    assert expected(columns_of({}, ("m", offer("a", None))), 0).cost_usd is None
    counts_more = figures(guessed_in=1_000, counted_in=2_000)
    twice = columns_of({"m@a": counts_more}, ("m", offer("a", 1.0)))
    assert expected(twice, 0).cost_usd == pytest.approx((1_950 + 250) / 1e6, rel=0.02)


# --- how it ranks ------------------------------------------------------------------------------


def test_an_offer_that_fails_half_its_calls_is_not_the_cheapest() -> None:
    failing = figures(error_rate=0.5, failing=0.48, surely_failing=0.4)
    columns = columns_of(
        {"cheap@a": failing}, ("cheap", offer("a", 0.0)), ("dear", offer("b", 9.0))
    )
    assert ranked(columns) == ["dear at b", "cheap at a"]
    untold = columns_of(
        {"cheap@a": failing}, ("cheap", offer("a", 0.0)), ("dark", offer("b", None))
    )
    assert ranked(untold) == ["cheap at a", "dark at b"], "an unknown price still comes last"
    sometimes = figures(error_rate=0.2, failing=0.2, surely_failing=0.12)
    columns = columns_of(
        {"cheap@a": sometimes}, ("cheap", offer("a", 1.0)), ("even", offer("b", 1.1))
    )
    assert ranked(columns) == ["even at b", "cheap at a"], "what is tried again costs again"
    said = choose_from(columns, prospect=Prospect.of(Outlook(columns), LENGTH)).choices
    reasons = [" ".join(c.reasons) for c in said if c.candidate.model.name == "cheap"]
    assert "measured over 100 calls, 2026-11-21" in reasons[0]
    assert "20% of its calls failed" in reasons[0]


def test_offers_of_one_model_are_asked_in_the_order_of_what_is_expected_of_them() -> None:
    failing = figures(error_rate=0.9, failing=0.85, surely_failing=0.8)
    columns = columns_of(
        {"m@a": failing, "m@b": figures(base_ms=2_000.0), "m@c": figures()},
        ("m", offer("a", 1.0)),
        ("m", offer("b", 1.0)),
        ("m", offer("c", 1.0)),
    )
    (choice,) = choose_from(columns, prospect=Prospect.of(Outlook(columns), LENGTH)).choices
    order = [choice.candidate.provider, *(other.provider for other in choice.alternatives)]
    assert order == ["c", "b", "a"]


def test_the_fastest_comes_first_and_what_is_unknown_last() -> None:
    columns = columns_of(
        {"slow@a": figures(base_ms=5_000.0), "fast@b": figures()},
        ("unknown", offer("x", 0.0)),
        ("slow", offer("a", 1.0)),
        ("fast", offer("b", 9.0)),
    )
    assert ranked(columns, Objective.LATENCY) == ["fast at b", "slow at a", "unknown at x"]


def test_weights_and_budgets_decide_by_what_is_expected() -> None:
    columns = columns_of(
        {"slow@a": figures(base_ms=9_000.0), "fast@b": figures()},
        ("slow", offer("a", 1.0)),
        ("fast", offer("b", 2.0)),
        ("dark", offer("c", None)),
    )

    def prefer(**weights):
        return lambda dearest, slowest: Preference(**weights)

    relevance = Objective.RELEVANCE
    dear = ranked(columns, relevance, prefer=prefer(score_per_usd=1e6))
    assert dear[0] == "slow at a"
    assert ranked(columns, relevance, prefer=prefer(score_per_second=10))[0] == "fast at b"
    within = ranked(columns, relevance, prefer=prefer(max_cost_usd=0.0015))
    assert within[0] == "slow at a"
    assert ranked(columns, relevance, prefer=prefer(max_latency_ms=5_000))[0] == "fast at b"


def test_a_models_best_offer_speaks_for_it() -> None:
    failing = figures(error_rate=0.9, failing=0.85, surely_failing=0.8)
    columns = columns_of(
        {"m@a": failing, "m@b": figures()},
        ("m", offer("a", 0.1)),
        ("m", offer("b", 1.0)),
        ("n", offer("c", 1.0)),
    )
    passed = sieve(columns, ()).passed
    forecasts = ModelForecasts(columns, Outlook(columns), passed, length=LENGTH)
    assert forecasts.models == {"m", "n"}
    told = forecasts.expect(["n", "m", "absent"], ["x"])
    assert told.calls.tolist() == [0, 100, 0]
    assert told.reliability.tolist() == [1.0, 1.0, 1.0]
    assert told.grounds == (None, "measured over 100 calls, 2026-11-21", None)
    assert np.isnan(told.costs[0]).tolist() == [False, False, True]
    by_text = ModelForecasts(columns, Outlook(columns), passed, length=LENGTH, by_text=True)
    short, long = by_text.expect(["m"], ["hello", "word " * 4_000]).costs[:, 0].tolist()
    assert long > 5 * short


# --- hard limits -------------------------------------------------------------------------------


def test_a_measured_latency_is_a_fact_that_wins_over_what_is_stated() -> None:
    stated = Known(500.0, "brochure", DAY)
    columns = columns_of(
        {"m@a": figures(37), "m@b": figures(19)},
        ("m", offer("a", 1.0, p95_latency_ms=stated)),
        ("m", offer("b", 1.0, p95_latency_ms=stated)),
        ("m", offer("c", 1.0)),
    )
    limits = Constraints(max_p95_latency_ms=1_000)
    found = choose_from(columns, limits)
    (choice,) = found.choices
    assert choice.candidate.provider == "b", "19 calls are too few for a 95th percentile"
    said = {str(each) for each in found.exclusions}
    assert said == {
        (
            "m at a: p95_latency_ms is 3000 (measured over 37 calls, 2026-11-21), and must be at "
            "most 1000 ms"
        ),
        "m at c: p95_latency_ms is unknown, and must be at most 1000 ms",
    }
    shown = columns.at(0).known_offer
    assert shown is not None
    assert shown.p95_latency_ms == Known(3_000.0, "measured over 37 calls", date(2026, 11, 21))
    assert shown.disputed["p95_latency_ms"] == (stated,)
    fails = choose_from(columns, Constraints(max_error_rate=0.0, max_p95_first_token_ms=100))
    assert fails.excluded_by == {"p95_first_token_ms": 3, "error_rate": 2}


def test_no_random_limit_is_ever_broken_by_what_was_measured() -> None:
    draw = random.Random(11)
    offers = [
        (
            f"m{n % 40}",
            offer(
                f"p{n}",
                draw.choice([None, 0.0, 1.0]),
                p95_latency_ms=draw.choice([None, Known(draw.uniform(0, 4_000), "s", DAY)]),
            ),
        )
        for n in range(120)
    ]
    measured = {
        f"{name}@{one.provider}": figures(
            draw.randrange(1, 60),
            latency_ms_p95=draw.uniform(0, 4_000),
            error_rate=draw.random(),
            surely_failing=draw.random() / 2,
        )
        for name, one in offers[::2]
    }
    columns = columns_of(measured, *offers)
    for _ in range(60):
        constraints = Constraints(
            max_p95_latency_ms=draw.choice([None, 500.0, 2_000.0]),
            max_p95_first_token_ms=draw.choice([None, 150.0, 300.0]),
            max_error_rate=draw.choice([None, 0.1, 0.5]),
        )
        limits = limits_of(constraints)
        found = choose_from(columns, constraints, objective=draw.choice([*Objective]))
        able = [c for choice in found.choices for c in (choice.candidate, *choice.alternatives)]
        assert not any(violations_of(candidate, limits) for candidate in able)
        assert all(exclusion.violations for exclusion in found.exclusions)
        assert len(able) + len(found.exclusions) == len(columns)


def test_what_was_measured_later_takes_the_place_of_what_was_before() -> None:
    plain = Columns([Candidate(Model(name="m"), offer("a", 1.0))])
    slow = plain.with_measured(Measurements(1, {"m@a/m": figures(50)}))
    fast = plain.with_measured(
        Measurements(2, {"m@a/m": replace(figures(50), latency_ms_p95=10.0)})
    )
    limits = Constraints(max_p95_latency_ms=100)
    assert [len(choose_from(c, limits).choices) for c in (slow, fast, plain)] == [0, 1, 0]
