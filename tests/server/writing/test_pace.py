"""No more than so often in any hour."""

from __future__ import annotations

from toolcrib_server.writing.pace import HOUR_S, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_hour_holds_so_many_and_gives_them_back_one_by_one():
    clock = Clock()
    pace = Pace(2, clock=clock)
    assert (pace.take(), pace.left, pace.waits_s) == (True, 1, 0.0)
    clock.now += 600
    assert (pace.take(), pace.take(), pace.left) == (True, False, 0)
    assert pace.waits_s == HOUR_S - 600
    clock.now += HOUR_S - 600
    assert (pace.left, pace.take(), pace.take()) == (1, True, False)
