"""Searches are counted by what came of them and by how long they took."""

import pytest

from toolcrib_server.selection.meter import BOUNDS_S, SearchMeter, SearchOutcome


def test_nothing_was_searched_at_first():
    totals = SearchMeter().totals
    assert set(totals.by_outcome.values()) == {0}
    assert sum(totals.buckets) == 0


@pytest.mark.parametrize(("duration_s", "bucket"), [(0.0, 0), (0.001, 0), (0.002, 1), (99.0, -1)])
def test_a_search_falls_into_the_bucket_of_its_time(duration_s: float, bucket: int):
    meter = SearchMeter()
    meter.count(SearchOutcome.ANSWERED, duration_s=duration_s)
    assert meter.totals.buckets[bucket] == 1
    assert len(meter.totals.buckets) == len(BOUNDS_S) + 1
    assert meter.totals.seconds == duration_s


def test_searches_by_words_alone_are_counted_beside_their_outcome():
    meter = SearchMeter()
    meter.count(SearchOutcome.NOTHING_FITS, duration_s=0.1, lexical_only=True)
    meter.count(SearchOutcome.FAILED, duration_s=0.1)
    assert meter.totals.lexical_only == 1
    assert meter.totals.by_outcome[SearchOutcome.FAILED] == 1
