"""Large JSON is read and written in pieces, and nothing of it is other than in one."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.jsonrpc.bulk import aside, is_bulky, read_json, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=40,
)
ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@given(VALUES)
def test_what_is_written_in_pieces_is_what_is_written_at_once(value):
    assert write_json(value, ENCODE) == ENCODE(value)


@given(VALUES, st.sampled_from([None, 1]))
def test_what_is_read_in_pieces_is_what_is_read_at_once(value, indent):
    assert read_json(json.dumps(value, indent=indent), json.JSONDecoder()) == value


def test_long_lists_are_written_whole_at_every_batch():
    for size in (499, 500, 501, 1000, 1501):
        value = {"a": list(range(size)), "b": [{"c": [n]} for n in range(size)]}
        assert write_json(value, ENCODE) == ENCODE(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[", "[1", "[1,", "[1,]", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1', "{1:2}",
        "[1] 2", '{"a":1 "b":2}', "[1 2]", "{,}", "[,]",
    ],
)  # fmt: skip
def test_what_is_no_json_at_once_is_none_in_pieces(text):
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    with pytest.raises(json.JSONDecodeError):
        read_json(text, json.JSONDecoder())


def test_of_a_key_that_stands_twice_the_last_counts_as_ever():
    assert read_json('{"a": 1, "a": 2}', json.JSONDecoder()) == {"a": 2}


@pytest.mark.parametrize(
    "value",
    ["x" * 300_000, [0] * 6_000, {str(n): n for n in range(6_000)}, [[[0] * 100]] * 100],
)
def test_what_is_large_in_any_way_is_bulky(value):
    assert is_bulky({"messages": [{"content": value}]})


def test_an_ordinary_request_is_not_bulky():
    assert not is_bulky({"messages": [{"role": "user", "content": "x" * 1000}] * 100})


@pytest.mark.anyio
async def test_only_what_is_large_is_done_in_another_thread():
    def where(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await aside(where, {"a": 1})
    assert not await aside(where, ["x" * 300_000])
