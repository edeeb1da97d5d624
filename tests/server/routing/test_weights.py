"""Weights without units become what a score is worth."""

from typing import Any

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.routing.weights import PLAIN, Scales, Weights


def test_a_weight_is_by_the_dearest_and_the_slowest() -> None:
    made = Weights(quality=2, cost=1, latency=1, default="a").preference(
        Scales(cost_usd=0.5, latency_s=4), default="b"
    )
    assert (made.score_per_usd, made.score_per_second, made.default) == (1.0, 0.125, "a")


def test_what_nobody_measured_decides_nothing() -> None:
    made = Weights(cost=1, latency=1).preference(Scales(None, None), default="b")
    assert (made.score_per_usd, made.score_per_second, made.default) == (0, 0, "b")


@pytest.mark.parametrize(
    "wrong",
    [{"cost": -1}, {"quality": 0}, {"max_cost_usd": float("inf")}, {"latency": float("nan")}],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Weights(**wrong).check()


def test_a_default_alone_is_plain() -> None:
    assert PLAIN.is_plain
    assert Weights(default="a").is_plain
    assert not Weights(cost=1).is_plain
