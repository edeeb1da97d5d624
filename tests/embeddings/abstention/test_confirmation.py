"""Laws of the bar that confirmed questions set: error rates, and what liars can do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.abstention.confirmation import (
    LEAST_CONFIRMED,
    MOST_LOWERED,
    MOST_RAISED,
    Answered,
    Confirmation,
    confirm,
    conformal_bar,
    count_independent,
)

STRENGTHS = st.floats(-50, 50)
RATE = 0.02


def of(strengths: Iterable[float], *voices: str) -> list[Answered]:
    """Let principals confirm questions, each in turn."""
    return [
        Answered(float(strength), frozenset({voices[number % len(voices)]}))
        for number, strength in enumerate(strengths)
    ]


def bar_of(answered: Sequence[Answered], own: float, rate: float = RATE) -> float:
    confirmed = confirm(answered, error_rate=rate)
    return own if confirmed is None else confirmed.bar(own)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.02, 0.05, 0.1, 0.25]),
    st.integers(LEAST_CONFIRMED, 120),
)
def test_the_stated_error_rate_holds_on_exchangeable_questions(
    seed: int, rate: float, confirmed: int
) -> None:
    """The expected share lies between rate - 1/(n+1) and rate; here the mean of 100 draws."""
    draws = np.random.default_rng(seed).gamma(2.0, 0.2, size=(100, confirmed + 20))
    shares = [
        float(np.mean(draw[confirmed:] < conformal_bar(draw[:confirmed], error_rate=rate)))
        for draw in draws
    ]
    noise = 4 * float(np.std(shares)) / math.sqrt(len(shares)) + 0.005
    assert rate - 1 / (confirmed + 1) - noise <= np.mean(shares) <= rate + noise


@pytest.mark.parametrize("off", [-0.9, 0.0, 0.5])
@pytest.mark.parametrize(
    ("rate", "principals"), [(0.02, 1), (0.02, 3), (0.02, 10), (0.05, 1), (0.05, 3), (0.05, 10)]
)
def test_with_100_confirmed_questions_fresh_ones_are_abstained_on_as_often_as_stated(
    rate: float, principals: int, off: float
) -> None:
    """The registry's own guess is off by ``off``; the mean of 300 draws is within 2 points."""
    random = np.random.default_rng(7)
    voices = [f"p{number}" for number in range(principals)]
    own = float(np.quantile(random.gamma(6.0, 0.5, 100_000), rate)) + off
    shares: list[float] = []
    for _ in range(300):
        draw = random.gamma(6.0, 0.5, 600)
        shares.append(float(np.mean(draw[100:] < bar_of(of(draw[:100], *voices), own, rate))))
    assert abs(float(np.mean(shares)) - rate) <= 0.02


@given(
    st.lists(STRENGTHS, min_size=LEAST_CONFIRMED, max_size=90),
    st.lists(STRENGTHS, max_size=400),
    STRENGTHS,
)
def test_one_liar_moves_the_bar_no_further_than_the_others_do(
    honest: list[float], lies: list[float], own: float
) -> None:
    alone = conformal_bar(honest, error_rate=RATE)
    bar = bar_of([*of(honest, "a", "b", "c"), *of(lies, "liar")], own)
    assert min(own, alone) <= bar <= max(own, alone)


@given(st.lists(st.tuples(STRENGTHS, st.sampled_from("abcdefgh")), max_size=300), STRENGTHS)
def test_nobody_together_moves_it_further_than_the_bound(
    said: list[tuple[float, str]], own: float
) -> None:
    answered = [Answered(strength, frozenset({who})) for strength, who in said]
    assert -MOST_LOWERED - 1e-9 <= bar_of(answered, own) - own <= MOST_RAISED + 1e-9


def test_one_alone_in_its_tenant_sets_the_bar_by_itself() -> None:
    strengths = np.linspace(0, 1, 99)
    confirmed = confirm(of(strengths, "me"), error_rate=RATE)
    assert confirmed is not None
    assert confirmed.low == confirmed.high == strengths[1]
    assert confirmed.bar(0.5) == strengths[1]


def test_too_few_questions_say_nothing() -> None:
    assert confirm([], error_rate=RATE) is None
    assert confirm(of(range(LEAST_CONFIRMED - 1), "me"), error_rate=RATE) is None
    assert confirm(of(range(LEAST_CONFIRMED), "me"), error_rate=RATE) is not None
    assert confirm(of(range(90), "me"), error_rate=0.001) is None


def test_one_who_gives_nearly_all_of_many_questions_is_not_enough() -> None:
    mostly_one = [*of(range(200), "loud"), *of(range(LEAST_CONFIRMED - 1), "a", "b")]
    assert count_independent(mostly_one) == LEAST_CONFIRMED - 1
    assert confirm(mostly_one, error_rate=RATE) is None
    assert confirm([*mostly_one, *of([1], "c")], error_rate=RATE) is not None


def test_a_question_that_others_confirm_too_stays_when_one_is_left_out() -> None:
    both = [Answered(float(n), frozenset({"a", "b"})) for n in range(LEAST_CONFIRMED)]
    assert count_independent(both) == LEAST_CONFIRMED


def test_what_is_dumped_is_loaded() -> None:
    confirmed = confirm(of(range(120), "a", "b"), error_rate=0.05)
    assert confirmed is not None
    assert Confirmation.load(json.loads(json.dumps(confirmed.dump()))) == confirmed


@pytest.mark.parametrize(
    "wrong", [{"low": 9.0}, {"low": math.nan}, {"high": math.inf}, {"low": None}, {"errorRate": 2}]
)
def test_data_that_is_no_confirmation_is_refused(wrong: dict[str, Any]) -> None:
    sound = {"questions": 60, "errorRate": 0.02, "low": 1.0, "high": 2.0}
    assert Confirmation.load(sound).questions == 60
    with pytest.raises(ValueError, match="confirmation"):
        Confirmation.load({**sound, **wrong})
    with pytest.raises(ValueError, match="low"):
        Confirmation.load({key: value for key, value in sound.items() if key != "low"})
