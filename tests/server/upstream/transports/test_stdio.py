"""Lines out of bytes: whole, in linear time, and never longer than the cap."""

import time
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.upstream.processes.tail import StderrTail
from toolcrib_server.upstream.transports.stdio import LineSplitter, LineTooLong


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b), max_size=10),
    size=st.integers(1, 7),
)
def test_any_cut_of_the_stream_gives_the_same_lines(lines, size):
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(20)
    chunks = (stream[at : at + size] for at in range(0, len(stream), size))
    assert [line for chunk in chunks for line in splitter.feed(chunk)] == lines


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"xxxxxx", b"xxxxxx"], [b"ok\n" + b"x" * 11]])
def test_a_line_over_the_cap_is_refused_before_it_ends(chunks):
    splitter = LineSplitter(10)
    with pytest.raises(LineTooLong):
        list(chain.from_iterable(map(splitter.feed, chunks)))


def test_a_line_of_exactly_the_cap_passes():
    assert list(LineSplitter(10).feed(b"x" * 10 + b"\n")) == [b"x" * 10]


def test_a_long_line_takes_linear_time():
    splitter = LineSplitter(64 * 1024 * 1024)
    started = time.process_time()
    for _ in range(16 * 1024):
        assert list(splitter.feed(b"x" * 4096)) == []
    assert len(next(splitter.feed(b"\n"))) == 64 * 1024 * 1024
    assert time.process_time() - started < 2


def test_the_tail_keeps_the_last_lines():
    tail = StderrTail()
    for number in range(1000):
        tail.feed(f"line {number}\nhalf".encode())
        tail.feed(b"\n")
    tail.feed(b"un\xfffinished")
    lines = tail.lines()
    assert len(lines) == 201
    assert lines[-3:] == ("line 999", "half", "un\ufffdfinished")


def test_the_tail_is_bounded_in_bytes():
    tail = StderrTail()
    for _ in range(100):
        tail.feed(b"x" * 10_000)
        tail.feed(b"y" * 10_000 + b"\n")
    assert sum(map(len, tail.lines())) <= 2 * 64 * 1024
