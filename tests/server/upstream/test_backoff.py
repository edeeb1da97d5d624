"""Pauses grow, are spread, and begin anew after a success."""

import pytest

from toolcrib_server.upstream.backoff import Backoff


def test_pauses_double_within_their_spread_up_to_the_longest():
    backoff = Backoff(1.0, 60.0)
    pauses = [backoff.next_s() for _ in range(12)]
    for turn, pause in enumerate(pauses):
        whole = min(60.0, 2.0**turn)
        assert 0.75 * whole <= pause <= 1.25 * whole


def test_a_reset_begins_with_the_shortest():
    backoff = Backoff(1.0, 60.0)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1.25


@pytest.mark.parametrize("turn", [-1, 0, 1])
def test_the_first_pause_is_the_shortest_whatever_is_counted_from(turn):
    assert 0.75 <= Backoff(1.0, 60.0).pause_s(turn) <= 1.25


def test_ten_thousand_failures_are_no_longer_a_pause_than_fifty():
    assert Backoff(1.0, 60.0).pause_s(10_000) <= 75
    assert len({Backoff(1.0, 60.0).next_s() for _ in range(50)}) > 1
