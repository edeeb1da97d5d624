from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.learning.gate import FEWEST_CASES, SWITCH_GAIN, decide
from toolcrib_server.learning.replay import ARMS, Gain, Report


def gain(arm: str, middle: float, half: float = 0.01) -> Gain:
    return Gain(arm=arm, after=0.5 + middle, gain=middle, low=middle - half, high=middle + half)


def report(*gains: Gain, cases: int = FEWEST_CASES) -> Report:
    known = {one.arm for one in gains}
    rest = [gain(arm.name, -0.1) for arm in ARMS if arm.name not in known]
    return Report(learned_from=100, cases=cases, before=0.5, gains=(*gains, *rest))


def chosen(judged: Report, in_use: str | None = None) -> str | None:
    arm = decide(judged, in_use=in_use).arm
    return arm.name if arm else None


def test_what_gains_for_certain_is_taken_up() -> None:
    judged = report(gain("adapter", 0.02), gain("both-2", 0.05))
    assert chosen(judged) == "both-2"
    assert "both-2, +5.0 points NDCG@10 (+4.0 to +6.0)" in decide(judged, in_use=None).reason


@pytest.mark.parametrize("middle", [-0.2, 0.0, 0.009])
def test_what_may_not_gain_is_not(middle: float) -> None:
    choice = decide(report(gain("adapter", middle)), in_use=None)
    assert choice.arm is None
    assert "no way of using it gains for certain" in choice.reason


def test_too_few_queries_decide_nothing() -> None:
    judged = report(gain("adapter", 0.3), cases=FEWEST_CASES - 1)
    assert chosen(judged) is None
    assert "29 queries could be held back; 30 are needed" in decide(judged, in_use=None).reason
    assert chosen(Report(learned_from=0, cases=0)) is None


def test_what_is_in_use_stays_while_it_still_gains() -> None:
    weak = report(gain("adapter", 0.006))
    assert chosen(weak) is None
    assert chosen(weak, in_use="adapter") == "adapter"
    assert chosen(report(gain("adapter", 0.004)), in_use="adapter") is None


def test_another_takes_over_only_when_it_is_clearly_better() -> None:
    near = report(gain("adapter", 0.050), gain("both-2", 0.054))
    far = report(gain("adapter", 0.050), gain("both-2", 0.056))
    assert chosen(near, in_use="adapter") == "adapter"
    assert chosen(far, in_use="adapter") == "both-2"
    assert pytest.approx(0.005) == SWITCH_GAIN


def test_one_in_use_that_is_no_longer_known_is_nothing_special() -> None:
    assert chosen(report(gain("adapter", 0.05)), in_use="gone") == "adapter"


middles = st.floats(-0.3, 0.3)


@given(st.tuples(*[middles for _ in ARMS]), st.none() | st.sampled_from([a.name for a in ARMS]))
def test_nothing_is_ever_used_that_did_not_gain(
    values: tuple[float, ...], in_use: str | None
) -> None:
    gains = [gain(arm.name, middle) for arm, middle in zip(ARMS, values, strict=True)]
    name = chosen(report(*gains), in_use=in_use)
    assert name is None or next(one.gain for one in gains if one.arm == name) > 0
