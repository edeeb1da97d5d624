"""A series that changed shows where; one that did not, and one value that is far off, do not."""

import random

from toolcrib_server.selection.change import find_change, ranks


def test_a_shift_is_found_where_it_began() -> None:
    draw = random.Random(3)
    values = [float(draw.random() < (0.02 if n < 120 else 0.6)) for n in range(200)]
    change = find_change(values)
    assert change is not None
    assert abs(change.place - 120) <= 8
    assert change.shift > 0.3


def test_what_does_not_change_is_left_alone() -> None:
    draw = random.Random(4)
    series = ([draw.random() for _ in range(200)] for _ in range(300))
    assert sum(find_change(values) is not None for values in series) <= 1


def test_ranks_make_one_that_hung_only_the_last() -> None:
    values = [100.0 + n % 7 for n in range(60)]
    values[45] = 600_000.0
    assert find_change(ranks(values)) is None
    assert ranks([5.0, 1.0, 5.0]) == [0.75, 0.0, 0.75]
    slower = [100.0 + n % 7 for n in range(40)] + [300.0 + n % 7 for n in range(40)]
    change = find_change(ranks(slower))
    assert change is not None
    assert change.place == 40


def test_a_few_values_show_nothing_and_cuts_are_made_only_where_they_may_be() -> None:
    steps = [0.0] * 50 + [1.0] * 50
    assert find_change(steps[40:60]) is None
    assert find_change(steps, places=()) is None
    change = find_change(steps, places=[30])
    assert change is not None
    assert change.place == 30
