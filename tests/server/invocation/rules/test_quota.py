"""How often a key may call: never more than it may, whatever the order and the pauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import TooManyCalls
from toolcrib_server.invocation.rules.quota import KeyQuota


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=200),
    per_minute=st.integers(1, 30),
)
def test_in_no_minute_a_key_calls_more_than_twice_its_share(
    pauses: list[float], per_minute: int
) -> None:
    clock = Clock()
    quota = KeyQuota(per_minute=per_minute, now=clock)
    made: list[float] = []
    for pause in pauses:
        clock.now += pause
        try:
            quota.enter("key")
        except TooManyCalls as error:
            clock.now += error.retry_after_s + 1e-6
            quota.enter("key")  # after what it was told to wait, it may
        made.append(clock.now)
        quota.leave("key")
    for start in made:
        within = sum(start <= at < start + 60 for at in made)
        assert within <= 2 * per_minute
    assert len(made) <= per_minute + clock.now * per_minute / 60 + 1


def test_keys_are_counted_apart_and_quiet_ones_are_forgotten() -> None:
    clock = Clock()
    quota = KeyQuota(per_minute=1, now=clock)
    for number in range(10_000):
        quota.enter(f"key-{number}")
        quota.leave(f"key-{number}")
    with pytest.raises(TooManyCalls):
        quota.enter("key-5")
    clock.now = 61.0
    quota.enter("new")
    assert len(quota._keys) == 1


def test_a_key_that_runs_as_many_as_it_may_is_told_so() -> None:
    quota = KeyQuota(at_once=2)
    quota.enter("key")
    quota.enter("key")
    with pytest.raises(TooManyCalls, match="2 calls at once"):
        quota.enter("key")
    quota.leave("key")
    quota.enter("key")
