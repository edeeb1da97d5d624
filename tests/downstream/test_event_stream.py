import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.downstream.event_stream import (
    MAX_KEPT,
    MAX_KEPT_BYTES,
    EventStream,
    read_event_id,
)
from toolcrib_server.downstream.response import event
from toolcrib_server.jsonrpc.text import encode
from toolcrib_server.upstream.network.events import EventParser


@given(st.dictionaries(st.text(), st.text() | st.integers()), st.integers(min_value=1))
def test_what_is_written_is_read_again_by_a_parser_of_events(message, number):
    stream = EventStream("7")
    data = encode(message)
    written = event(data, event_id=stream.id_of(number))
    for size in (1, 7, len(written)):
        parser = EventParser(1_000_000)
        found = [
            each
            for at in range(0, len(written), size)
            for each in parser.feed(written[at : at + size])
        ]
        assert [(each.event, each.id) for each in found] == [("message", f"7-{number}")]
        assert json.loads(found[0].data) == json.loads(data)


@given(st.lists(st.integers(min_value=0, max_value=MAX_KEPT_BYTES // 3), max_size=12))
def test_what_is_kept_is_bounded_and_the_newest(sizes):
    stream = EventStream("0")
    for size in sizes:
        stream.put(b"x" * size)
    kept = stream.after(0)
    assert stream.size == sum(len(each.data) for each in kept) <= MAX_KEPT_BYTES
    assert [each.number for each in kept] == list(range(len(sizes) - len(kept) + 1, len(sizes) + 1))


def test_the_newest_event_is_kept_however_large():
    stream = EventStream("0")
    for _ in range(3):
        stream.put(b"x" * (MAX_KEPT_BYTES + 1))
    assert [each.number for each in stream.after(0)] == [3]


def test_a_stream_that_is_written_through_keeps_nothing_too_large():
    stream = EventStream("1", max_bytes=100, at_least=0)
    stream.put(b"x" * 100)
    assert stream.size == 100
    stream.put(b"x" * 101)
    assert (stream.size, stream.after(0), stream.last) == (0, [], 2)


def test_many_small_events_are_bounded_too():
    stream = EventStream("0")
    for _ in range(MAX_KEPT * 2):
        stream.put(b"")
    assert len(stream.after(0)) == MAX_KEPT


@given(st.text())
def test_any_event_id_is_read_or_refused(event_id):
    found = read_event_id(event_id)
    if found is not None:
        name, number = found
        assert event_id.startswith(f"{name}-")
        assert number >= 0


@pytest.mark.parametrize("name", ["0", "12"])
def test_an_event_id_names_its_stream_and_number(name):
    assert read_event_id(EventStream(name).id_of(34)) == (name, 34)
