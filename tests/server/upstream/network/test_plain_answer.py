"""Only the plainest answers are read; whatever else a server may send is refused, in any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.upstream.network.plain_answer import PlainAnswer, Surprise

LIMIT = 100_000
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
SIZED = OK + JSON + b'content-length: 8\r\n\r\n{"a": 1}'
CHUNKED = OK + JSON + b'transfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'


def read(*pieces, limit_bytes=LIMIT):
    """Feed an answer; return its body and whether the connection can be used again."""
    answer = PlainAnswer(limit_bytes=limit_bytes)
    bodies = [answer.feed(piece) for piece in pieces]
    assert all(body is None for body in bodies[:-1])
    return bodies[-1], answer.is_reusable


def feed_all(pieces, *, limit_bytes=LIMIT):
    """Feed an answer and whatever follows it on the same connection."""
    answer = PlainAnswer(limit_bytes=limit_bytes)
    for piece in pieces:
        answer.feed(piece)


@pytest.mark.parametrize("whole", [SIZED, CHUNKED])
def test_a_plain_answer_is_read(whole):
    assert read(whole) == (b'{"a": 1}', True)


@given(st.sampled_from([SIZED, CHUNKED]), st.sets(st.integers(1, 120)))
def test_the_pieces_it_comes_in_do_not_matter(whole, cuts):
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]
    assert read(*pieces) == (b'{"a": 1}', True)


@given(st.integers(1, len(SIZED) - 1))
def test_a_part_of_it_is_no_answer(end):
    assert read(SIZED[:end]) == (None, False)


def test_parameters_and_the_case_of_the_media_type_do_not_matter():
    answer = SIZED.replace(b"application/json", b"Application/JSON; charset=utf-8")
    assert read(answer)[0] == b'{"a": 1}'


def test_a_connection_that_the_server_closes_is_not_used_again():
    assert read(SIZED.replace(JSON, JSON + b"connection: close\r\n")) == (b'{"a": 1}', False)


REFUSED = {
    "another status": SIZED.replace(b"200 OK", b"500 Oops"),
    "a redirect": SIZED.replace(b"200 OK", b"307 There").replace(JSON, JSON + b"location: /x\r\n"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "continue, and then the answer": b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED,
    "another protocol": b"HTTP/1.1 101 Now\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "HTTP/1.0": SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "events": SIZED.replace(b"application/json", b"text/event-stream"),
    "no media type": SIZED.replace(JSON, b""),
    "compressed": SIZED.replace(JSON, JSON + b"content-encoding: gzip\r\n"),
    "two lengths": SIZED.replace(JSON, JSON + b"content-length: 8\r\n"),
    "a length and chunks": SIZED.replace(JSON, JSON + b"transfer-encoding: chunked\r\n"),
    "a negative length": SIZED.replace(b"length: 8", b"length: -8"),
    "a huge length": SIZED.replace(b"length: 8", b"length: 99999999999999999999999"),
    "a length that is too small": SIZED.replace(b"length: 8", b"length: 7"),
    "two answers": SIZED + SIZED,
    "garbage after it": SIZED + b"x",
    "garbage instead of it": b"\x16\x03\x01\x02\x00",
    "nothing of HTTP": b'{"a": 1}',
    "a folded header": SIZED.replace(JSON, JSON + b"x: a\r\n b\r\n"),
    "a space before a colon": SIZED.replace(JSON, JSON + b"x : a\r\n"),
    "bare line feeds": SIZED.replace(b"\r\n", b"\n"),
    "a chunk of no size": CHUNKED.replace(b"3\r\n", b"z\r\n"),
    "a chunk of another size": CHUNKED.replace(b"3\r\n", b"4\r\n"),
    "trailers": CHUNKED.replace(b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n"),
    "a late media type": CHUNKED.replace(JSON, b"").replace(
        b"0\r\n\r\n", b"0\r\n" + JSON + b"\r\n"
    ),
    "too many headers": SIZED.replace(JSON, JSON + b"x: y\r\n" * 100),
    "a huge header": SIZED.replace(JSON, JSON + b"x: " + b"y" * 40_000 + b"\r\n"),
    "huge headers": SIZED.replace(JSON, JSON + (b"x: " + b"y" * 1000 + b"\r\n") * 40),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused(answer):
    with pytest.raises(Surprise):
        read(answer)


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused_byte_by_byte(answer):
    with pytest.raises(Surprise):
        feed_all(answer[at : at + 1] for at in range(len(answer)))


def test_a_head_that_never_ends_is_not_waited_for():
    with pytest.raises(Surprise, match="without end"):
        feed_all([OK + b"x: ", *[b"y" * 1000] * 40])


def test_an_answer_is_refused_as_soon_as_it_is_too_large():
    pieces = [OK + JSON + b"content-length: 1000000\r\n\r\n", *[b" " * 200] * 5]
    with pytest.raises(Surprise, match="more than 1000 bytes"):
        feed_all(pieces, limit_bytes=1000)


def test_chunks_of_little_do_not_get_round_the_limit():
    little = b"1;" + b"x" * 200 + b"\r\n \r\n"
    with pytest.raises(Surprise, match="more than 1000 bytes"):
        feed_all(
            [OK + JSON + b"transfer-encoding: chunked\r\n\r\n", *[little] * 5], limit_bytes=1000
        )
