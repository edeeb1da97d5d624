"""Server-sent events: the same events however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.upstream.failures import Oversized
from toolcrib_server.upstream.network.events import EventParser

STREAM = (
    b": hello\n\nevent: endpoint\ndata: /messages?x=1\n\n"
    b"id: 7\r\nretry: 250\r\ndata: one\r\ndata:  two\r\n\r\n"
    b"data\n\nid: 8\n\nevent: ignored\n\ndata: h\xc3\xa9\rdata: end\r\r"
)
EVENTS = [
    ("endpoint", "/messages?x=1", None),
    ("message", "one\n two", "7"),
    ("message", "", "7"),
    ("message", "hé\nend", "8"),
]


def parse(chunks, limit=1000):
    parser = EventParser(limit)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [(event.event, event.data, event.id) for event in events], parser


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_stream_gives_the_same_events(cuts):
    places = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(places)]
    events, parser = parse(chunks)
    assert events == EVENTS
    assert (parser.last_id, parser.retry_ms) == ("8", 250)


def test_an_unfinished_event_is_not_one():
    assert parse([b"data: x\n"])[0] == []


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: x\n" * 30, b"data:" * 300])
def test_an_event_over_the_limit_is_refused(stream):
    with pytest.raises(Oversized):
        parse([stream], limit=100)


def test_keep_alives_count_for_nothing():
    assert parse([b": ping\n\n" * 1000, b"data: x\n\n"], limit=100)[0] == [("message", "x", None)]


def test_a_retry_that_is_no_number_is_ignored():
    assert parse([b"retry: soon\nretry: 99999999999\ndata: x\n\n"])[1].retry_ms is None
