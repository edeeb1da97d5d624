import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_server.downstream.messages import (
    Call,
    Note,
    Reply,
    failure,
    id_of,
    notification,
    refusal_in,
    request,
    response,
    sort,
)
from toolcrib_server.downstream.service import RpcError

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)
FIELDS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"])
MESSAGES = st.dictionaries(FIELDS, ANYTHING).map(lambda each: {"jsonrpc": "2.0", **each})
IDS = st.integers() | st.text()


@given(MESSAGES | ANYTHING)
def test_whatever_is_sent_is_one_of_three_things_or_refused(decoded):
    message, refused = None, None
    try:
        message = sort(decoded)
    except RpcError as error:
        refused = error
    if refused is not None:
        assert refused.code in {-32600, -32602}
        return
    assert isinstance(message, (Call, Note, Reply))
    if not isinstance(message, Reply):
        assert isinstance(message.params, dict)
        assert message.method


@given(IDS, st.text(min_size=1), st.dictionaries(st.text(), st.integers()))
def test_what_is_made_is_read_as_what_it_is(call_id, method, params):
    assert sort(request(call_id, method, params)) == Call(call_id, method, params)
    assert sort(notification(method, params)) == Note(method, params)
    assert sort(response(call_id, params)) == Reply(call_id, params, None)
    error = RpcError(-1, "no", [1])
    told = sort(failure(call_id, error))
    assert isinstance(told, Reply)
    assert (told.id, told.result) == (call_id, None)
    refused = refusal_in(told)
    assert (refused.code, refused.message, refused.data) == (-1, "no", [1])


@pytest.mark.parametrize("call_id", [None, True, 1.0, [], {}])
def test_only_texts_and_integers_are_ids(call_id):
    assert id_of({"id": call_id}) is None
    with pytest.raises(RpcError):
        sort({"jsonrpc": "2.0", "id": call_id, "method": "ping"})


def test_a_refusal_without_an_id_bears_none():
    assert failure(None, RpcError(-32700, "what?")) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32700, "message": "what?"},
    }


@pytest.mark.parametrize("error", [{}, {"code": "x", "message": 3}, {"code": True}])
def test_an_odd_refusal_of_a_client_is_an_error_all_the_same(error):
    refused = refusal_in(Reply(1, None, error))
    assert (refused.code, bool(refused.message)) == (-32603, True)
