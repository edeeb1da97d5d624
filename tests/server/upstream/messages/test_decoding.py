"""What an upstream sent is handed on as it is, mended, or refused with whom it answers."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.jsonrpc.text import MAX_DEPTH, is_deeper
from toolcrib_server.upstream.failures import BadAnswer, TooDeep, Unrelayable
from toolcrib_server.upstream.messages.decoding import decode
from toolcrib_server.upstream.messages.rpc import Calls, open_response, read_progress

LONG = "9" * 5000
PIT = "[" * 100_000 + "]" * 100_000

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


def nested(levels):
    return "[" * levels + "]" * levels


@given(values)
def test_json_comes_back_as_it_is(value):
    assert decode(json.dumps(value)) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(values)
def test_depth_is_counted_exactly(value):
    depth = next(limit for limit in range(1000) if not is_deeper(value, limit))
    assert is_deeper([value], depth)
    assert not is_deeper([value], depth + 1)


@pytest.mark.parametrize("data", [b"", b"{broken", b"Listening!", PIT.encode(), b"\xff\xfe{"])
def test_what_is_no_message_is_no_json(data):
    with pytest.raises(ValueError, match=r"."):
        decode(data)


def test_the_deepest_that_may_be_passes_and_one_more_does_not():
    assert is_deeper(decode(nested(MAX_DEPTH)), MAX_DEPTH - 1)
    with pytest.raises(TooDeep, match="more than 100 levels deep"):
        decode(nested(MAX_DEPTH + 1))


def test_many_brackets_side_by_side_are_not_deep():
    assert len(decode("[" + "[]," * 1000 + "0]")) == 1001
    assert decode(json.dumps("[" * 1000)) == "[" * 1000


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (rb'"a\ud800b"', "a\ufffdb"),
        (rb'"\uDFFF"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'{"\udc00": ["\udc00", 1, null]}', {"\ufffd": ["\ufffd", 1, None]}),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b'"caf\xe9"', "caf\ufffd"),
        (b"\xef\xbb\xbf5", 5),
    ],
)
def test_text_that_is_not_unicode_is_mended(data, mended):
    assert decode(data) == mended


HEADS = [
    ('{"jsonrpc":"2.0","id":7,"result":{"x":VALUE}}', (7,)),
    ('{ "id" : "7" , "jsonrpc" : "2.0", "result": {"x": VALUE}}', (7,)),
    ('{"result":{"x":VALUE},"jsonrpc":"2.0","id":7}', (7,)),
    ('{"jsonrpc":"2.0","result":{"x":VALUE},"id":7,"jsonrpc":"2.0"}', (7,)),
    ('{"jsonrpc":"2.0","method":"notifications/x","params":{"id":7,"x":VALUE}}', ()),
    ('{"jsonrpc":"2.0","id":7,"method":"ping","params":VALUE}', ()),
]


@pytest.mark.parametrize("value", [LONG, PIT, nested(300)], ids=["long", "pit", "deep"])
@pytest.mark.parametrize(("text", "answered"), HEADS)
def test_whom_an_unusable_message_answers_is_found(text, answered, value):
    started = time.process_time()
    with pytest.raises(Unrelayable) as caught:
        decode(text.replace("VALUE", value))
    assert tuple(int(str(each)) for each in caught.value.answered or ()) == answered
    assert caught.value.answered is not None
    assert time.process_time() - started < 3


def test_an_id_inside_of_the_result_is_not_taken_for_the_messages():
    with pytest.raises(Unrelayable) as caught:
        decode('{"result":{"x":VALUE,"id":7}}'.replace("VALUE", PIT))
    assert caught.value.answered is None


def test_what_has_been_read_goes_with_the_failure():
    with pytest.raises(TooDeep) as caught:
        decode('{"jsonrpc":"2.0","id":1,"result":{"tools":[VALUE]}}'.replace("VALUE", nested(150)))
    assert list(caught.value.result or {}) == ["tools"]


# --- the requests it belongs to ----------------------------------------------------------------


def test_only_the_request_in_flight_fails_and_one_of_several_is_not_guessed():
    calls = Calls()
    calls.fail(Unrelayable("sent a pit", None))
    assert calls.unmatched == 1
    calls.open(1)
    calls.fail(Unrelayable("sent a pit", None))
    calls.open(2)
    calls.fail(Unrelayable("sent a pit", (3,)))
    assert calls.unmatched == 2
    with pytest.raises(Unrelayable, match="sent a pit"):
        calls.fail(Unrelayable("sent a pit", None))


@pytest.mark.anyio
async def test_the_request_that_an_unusable_message_answers_fails():
    calls = Calls()
    call = calls.open(1)
    calls.fail(Unrelayable("sent a pit", ("1",)))
    with pytest.raises(BadAnswer, match="sent a pit"):
        await call.wait()


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ({"id": 1}, "neither a result object nor an error object"),
        ({"result": None}, "neither a result object"),
        ({"result": "done"}, "neither a result object"),
        ({"result": [1]}, "neither a result object"),
        ({"error": "x"}, "neither a result object nor an error object"),
        ({"result": {"content": None}}, "'content' that is not a list"),
        ({"result": {"content": "text"}}, "'content' that is not a list"),
        ({"result": {"content": {"type": "text"}}}, "'content' that is not a list"),
        ({"result": {"content": [{"type": "text"}, "x"]}}, "item 1 is not an object"),
        ({"result": {"content": [{"text": "x"}]}}, "item 0 has no 'type'"),
        ({"result": {"content": [{"type": 5}]}}, "item 0 has no 'type'"),
    ],
)
def test_a_result_that_cannot_be_handed_on_is_named(response, words):
    with pytest.raises(BadAnswer, match=words):
        open_response(response)


@pytest.mark.parametrize("result", [{}, {"content": []}, {"content": [{"type": "x-own"}]}])
def test_a_result_that_can_is_not_touched(result):
    assert open_response({"result": result}) is result


@pytest.mark.parametrize("number", [10**400, float("inf"), float("nan"), "5", None])
def test_progress_that_is_no_number_is_dropped(number):
    assert read_progress({"progress": number}) is None
    assert read_progress({"progress": 1, "total": number}) == {"progress": 1}


def test_progress_is_handed_on_with_all_it_says_but_its_token():
    said = {"progressToken": 5, "progress": 1, "total": 2.5, "message": "half", "own": [1]}
    assert read_progress(said) == {"progress": 1, "total": 2.5, "message": "half", "own": [1]}
    assert read_progress({"progress": 0, "message": 5, "total": True}) == {"progress": 0}
    assert read_progress({"progress": True}) is None
