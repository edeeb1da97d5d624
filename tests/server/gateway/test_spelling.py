"""One name for one thing: what MCP and the command line show and take is what REST does."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from toolcrib_registry import wire
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known, Model, ModelDescriptor, Offer
from toolcrib_server.cli.ask import parse_limits
from toolcrib_server.cli.output import plain
from toolcrib_server.gateway.constraints import CONSTRAINTS_SCHEMA
from toolcrib_server.gateway.rendering import render_offer, render_selection
from toolcrib_server.gateway.routings import render_expectation, render_forecast
from toolcrib_server.gateway.spelling import one_spelling
from toolcrib_server.rest.mapping.selection import selection_out
from toolcrib_server.selection.candidate import candidates_of
from toolcrib_server.selection.constraint import Constraints
from toolcrib_server.selection.forecast import Expected
from toolcrib_server.selection.models import select_models
from toolcrib_server.selection.routing.choice import Expectation

T = TypeVar("T")
DAY = date(2026, 10, 1)


def fact(value: T) -> Known[T]:
    return Known(value, "list", DAY)


OFFER = Offer(
    provider="acme",
    remote_model="m",
    price_in_usd=fact(0.1),
    price_out_usd=fact(0.2),
    context_tokens=fact(8_192),
    p95_latency_ms=fact(900.0),
    disputed={"price_in_usd": (Known(0.3, "other", DAY),)},
)
MODEL = Model(
    name="m",
    descriptor=ModelDescriptor(tool_call=fact(True), context_tokens=fact(8)),
    offers=(OFFER,),
)


def aliases(model: type[wire.WireOut]) -> set[str]:
    return {f.alias or name for name, f in model.model_fields.items()}


def test_every_face_names_an_offers_fields_alike() -> None:
    shown = render_offer(OFFER)
    assert shown["priceInUsd"] == 0.1
    assert shown["disputed"]["priceInUsd"][1]["value"] == 0.3
    assert set(shown) <= aliases(wire.OfferOut)
    assert shown["remoteModel"] == "m"


def test_every_face_names_a_selections_fields_alike() -> None:
    selection = select_models(
        [*candidates_of(MODEL), *candidates_of(Model(name="dark"))],
        Constraints(max_price_in_usd=1.0),
    )
    view, _ = render_selection(selection)
    rest = selection_out(selection, max_exclusions=5).model_dump(mode="json")
    assert set(view) <= set(rest)
    (choice,), (same,) = view["choices"], rest["choices"]
    assert {"model", "relevance", "offer", "reasons", "alternatives", "forecast"} <= set(choice)
    assert set(choice["forecast"]) <= set(same["forecast"])
    assert choice["capabilities"]["toolCall"] is True
    (out,), (gone,) = view["exclusions"], rest["exclusions"]
    assert (out["model"], out["provider"]) == (gone["model"], gone["provider"]) == ("dark", None)


def test_every_face_names_what_is_expected_alike() -> None:
    expected = Expectation(
        model="m", quality=0.1 + 0.2, spread=0.1, evidence=1, outcomes=3, cost_usd=0.1 + 0.2
    )
    shown = render_expectation(expected)
    assert set(shown) == aliases(wire.ExpectationOut)
    assert shown["costUsd"] == 0.3
    forecast = Expected(
        tokens_in=1,
        tokens_out=2.0,
        cost_usd=0.1 + 0.2,
        latency_ms=None,
        calls=1,
        ground="g",
        error_rate=0.0,
    )
    assert set(render_forecast(forecast)) <= aliases(wire.ForecastOut)
    assert render_forecast(forecast)["costUsd"] == 0.3


def test_limits_and_weights_are_taken_in_either_spelling_and_are_the_same_everywhere() -> None:
    given = {
        "task": "x",
        "constraints": {"maxPriceInUsd": 1, "min_context_tokens": 8},
        "weights": {"maxCostUsd": 0.1, "quality": 1},
    }
    assert one_spelling(given) == {
        "task": "x",
        "constraints": {"max_price_in_usd": 1, "min_context_tokens": 8},
        "weights": {"max_cost_usd": 0.1, "quality": 1},
    }
    assert parse_limits(["maxPriceInUsd=1"]) == parse_limits(["max_price_in_usd=1"])
    with pytest.raises(InvalidInput, match="Did you mean max_price_in_usd"):
        parse_limits(["max_prize_in_usd=1"])
    with pytest.raises(InvalidInput, match=r"max_price_in_usd is string, not number\.$"):
        parse_limits(["max_price_in_usd=much"])
    with pytest.raises(InvalidInput, match=r"-1 is less than the minimum of 0\.$"):
        parse_limits(["max_price_in_usd=-1"])
    assert set(CONSTRAINTS_SCHEMA["properties"]) == set(wire.ConstraintsIn.model_fields)


def test_numbers_are_shown_without_the_noise_of_their_sums() -> None:
    noisy = {"a": [0.1 + 0.2, 1e-9 * 3], "b": 1 / 3, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    assert plain(noisy) == {
        "a": [0.3, 3e-9],
        "b": 0.333333333333,
        "at": "2026-01-01T00:00:00+00:00",
    }
    shown = wire.ForecastOut(tokens_in=1, tokens_out=0.1 + 0.2, calls=0)
    assert '"tokensOut":0.3,' in shown.model_dump_json()
    assert plain(Path("x")) == Path("x")


def test_a_limit_in_both_spellings_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidInput, match="max_error_rate is given twice"):
        one_spelling({"constraints": {"maxErrorRate": 0.5, "max_error_rate": 0.1}})
