"""Answers however they arrive: the same at every split, none without a clear end, all bounded."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.upstream.network.answer import MOST_HEAD_BYTES, Answer, Garbled

OK = b"HTTP/1.1 200 OK\r\n"
PARTS = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


def chunked(parts, *, trailer=b"", extension=b""):
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return body + b"0\r\n" + trailer + b"\r\n"


def framed(parts, kind):
    body = b"".join(parts)
    if kind == "length":
        return OK + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    if kind == "close":
        return OK + b"\r\n" + body
    trailer = b"x-checksum: 1\r\n" if kind == "trailers" else b""
    extension = b";name=value" if kind == "extensions" else b""
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + chunked(parts, trailer=trailer, extension=extension)


def feed_all(answer, pieces):
    for piece in pieces:
        answer.feed(piece)


def read(data, cuts=(), *, method="POST", ended=False):
    answer, body = Answer(method), b""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            answer.feed(data[start:end])
            body += answer.take()
    if ended:
        answer.feed_end()
    return answer, body


KINDS = st.sampled_from(["length", "chunked", "trailers", "extensions", "close"])


@given(
    parts=PARTS, kind=KINDS, interim=st.integers(0, 3), cuts=st.lists(st.integers(0), max_size=9)
)
def test_an_answer_is_the_same_wherever_it_is_split(parts, kind, interim, cuts):
    data = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * interim + framed(parts, kind)
    answer, body = read(data, cuts, ended=kind == "close")
    assert (answer.status, body, answer.is_whole) == (200, b"".join(parts), True)
    assert answer.is_reusable == (kind != "close")
    assert (b"link", b"</a>") not in answer.headers


@pytest.mark.parametrize("kind", ["length", "chunked", "trailers", "extensions"])
def test_an_answer_can_come_byte_by_byte_and_is_whole_at_its_last_byte_alone(kind):
    data = framed([b"hello ", b"world\r\n0\r\n\r\n"], kind)
    answer, body = Answer("POST"), b""
    for at in range(len(data)):
        assert not answer.is_whole
        answer.feed(data[at : at + 1])
        body += answer.take()
    assert answer.is_whole
    assert body == b"hello world\r\n0\r\n\r\n"


@given(parts=PARTS, kind=KINDS.filter(lambda kind: kind != "close"), data=st.data())
def test_an_answer_cut_short_is_never_whole(parts, kind, data):
    whole = framed(parts, kind)
    end = data.draw(st.integers(0, len(whole) - 1))
    answer, _ = read(whole[:end])
    assert not answer.is_whole
    with pytest.raises(Garbled, match="disconnected"):
        answer.feed_end()
    assert not answer.is_reusable


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_anything_else_is_garbled_or_waits_for_more(pieces, begins_well):
    answer = Answer("POST")
    with contextlib.suppress(Garbled):
        for piece in [OK, *pieces] if begins_well else pieces:
            answer.feed(piece)
        answer.feed_end()
    assert not answer.is_reusable or answer.is_whole


@given(parts=PARTS, kind=KINDS.filter(lambda kind: kind != "close"), more=st.binary(min_size=1))
def test_what_follows_an_answer_is_no_part_of_it_and_ends_the_connection(parts, kind, more):
    answer, body = read(framed(parts, kind) + more)
    assert (answer.is_whole, body) == (True, b"".join(parts))
    # Line ends between messages are all that HTTP lets pass.
    assert not answer.is_reusable or not more.strip(b"\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ncontent-length: 5",
        b"content-length: 5\r\ncontent-length: 5",
        b"content-length: 5\r\ncontent-length: 6",
        b"content-length: 5, 5",
        b"content-length: +5",
        b"content-length: -5",
        b"content-length: 0x5",
        b"content-length: 5 5",
        b"content-length: 99999999999999999999999",
        b"content-length : 5",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding: identity",
        b"transfer-encoding: xchunked",
        b"transfer-encoding : chunked",
        b"transfer-encoding:\x0bchunked",
        b"x: y\r\n z: folded\r\ncontent-length: 5\r\ncontent-length: 7",
        b"x: a\x00b",
        b"no colon",
        b": nothing",
    ],
)
def test_a_head_that_is_not_clear_about_the_end_is_refused(head):
    answer = Answer("POST")
    with pytest.raises(Garbled):
        answer.feed(OK + head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert not answer.is_reusable


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"-1\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"\r\n",
        b"5 \r\nhello\r\n0 1\r\n\r\n",
    ],
)
def test_chunks_that_lie_about_their_size_are_refused(body):
    answer = Answer("POST")
    with pytest.raises(Garbled):
        answer.feed(OK + b"transfer-encoding: chunked\r\n\r\n" + body)


@pytest.mark.parametrize(
    "start",
    [b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"ICY 200 OK", b"HTTP/1.1 99 No", b"GET / HTTP/1.1"],
)
def test_what_is_no_status_line_is_refused(start):
    with pytest.raises(Garbled):
        Answer("POST").feed(start + b"\r\ncontent-length: 0\r\n\r\n")


def test_no_upgrade_is_taken():
    with pytest.raises(Garbled, match="nobody asked for"):
        Answer("POST").feed(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 ", b"O" * 999),
        (OK + b"x: ", b"y" * 999),
        (OK, b"x: y\r\n" * 99),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5;x=", b"y" * 999),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 999),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 99),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"0" * 999),
    ],
)
def test_nothing_but_a_body_goes_on_for_ever(begin, more):
    answer = Answer("POST")
    answer.feed(begin)
    with pytest.raises(Garbled):
        feed_all(answer, [more] * (2 * MOST_HEAD_BYTES // len(more)))


def test_a_stream_of_many_small_chunks_does_go_on():
    answer = Answer("GET")
    answer.feed(OK + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(MOST_HEAD_BYTES // 4):
        answer.feed(b"1\r\nx\r\n")
    assert answer.buffered_bytes == MOST_HEAD_BYTES // 4


@pytest.mark.parametrize(("status", "is_whole"), [(204, True), (304, True), (200, False)])
def test_an_answer_without_a_length_is_empty_only_where_its_status_says_so(status, is_whole):
    answer, _ = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert answer.is_whole is is_whole


def test_an_old_server_is_read_to_the_end_of_the_connection():
    answer, body = read(b"HTTP/1.0 200 OK\r\nX-A:  b \r\n\r\nhello", ended=True)
    assert (body, answer.is_whole, answer.is_reusable) == (b"hello", True, False)
    assert answer.headers == [(b"x-a", b"b")]


def test_a_server_that_wants_to_close_is_let():
    answer, _ = read(OK + b"connection: close\r\ncontent-length: 1\r\n\r\nx")
    assert (answer.is_whole, answer.is_reusable) == (True, False)


def test_the_answer_to_head_has_no_body():
    answer, _ = read(OK + b"content-length: 5\r\n\r\n", method="HEAD")
    assert answer.is_whole
    assert not answer.is_reusable
