import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.jsonrpc.text import (
    MAX_DEPTH,
    NotJson,
    TooDeep,
    decode,
    encode,
    holds_nul,
    is_deeper,
    mend,
)

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, JSON))
def test_what_was_read_is_written_without_loss_on_one_line(message):
    written = encode(message)
    assert b"\n" not in written
    assert b"\r" not in written
    assert decode(written) == message
    assert encode(decode(written)) == written


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
def test_anything_is_read_or_refused(data):
    try:
        decoded = decode(data)
    except NotJson:
        return
    assert decode(encode([decoded])) == [decoded]


@given(st.text())
def test_no_text_is_too_odd_to_be_written(text):
    assert (
        decode(encode({text: text})).keys() == {mend(text)} or "?" in encode({text: text}).decode()
    )


def test_what_json_cannot_spell_is_replaced():
    assert json.loads(encode({"a": [math.inf, -math.inf, math.nan, 1.5]})) == {
        "a": [None, None, None, 1.5]
    }
    assert encode({"a": "\ud800"}) == b'{"a":"?"}'
    assert decode(b'["\\ud800", {"\\udfff": 1}]') == ["\ufffd", {"\ufffd": 1}]
    assert decode(b'["\\ud83d\\ude00"]') == ["\N{GRINNING FACE}"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"NaN", b"-Infinity", b"1e400", b"[1,]", b"{'a':1}", b"\xff", b"1" * 5000, b"1 2"],
)
def test_what_is_no_json_is_refused(data):
    with pytest.raises(NotJson):
        decode(data)


def test_a_byte_order_mark_is_passed_over():
    assert decode(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_what_is_nested_too_deeply_is_refused(opening):
    closing = b"]" if opening == b"[" else b"}"
    at_most = opening * (MAX_DEPTH - 1) + b"[]" + closing * (MAX_DEPTH - 1)
    assert not is_deeper(decode(at_most), MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 200_000):
        with pytest.raises(TooDeep):
            decode(opening * depth + b"1" + closing * depth)


def test_brackets_in_texts_do_not_nest():
    assert decode(encode(["[" * 1000])) == ["[" * 1000]


@pytest.mark.parametrize(
    ("encoded", "held"),
    [(b'"\\u0000"', True), (b'"\\\\u0000"', False), (b'"\\\\\\u0000"', True), (b'"u0000"', False)],
)
def test_nul_is_told_from_text_about_it(encoded, held):
    assert holds_nul(encoded) is held
