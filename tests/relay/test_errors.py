"""Failures in JSON-RPC's form: an upstream's own as they are, ours with what to do."""

import inspect
from typing import Any

import pytest

from toolcrib_registry import errors
from toolcrib_registry.errors import (
    ArgumentProblem,
    BudgetExceeded,
    EntryQuarantined,
    InvalidArguments,
    NotFound,
    NotPermitted,
    ResultTooLarge,
    StoreBusy,
    ToolcribError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.downstream.service import Client
from toolcrib_server.relay.errors import find_error_result, to_rpc_error

MODERN = Client(principal="local", version="2026-07-28")
OLD = Client(principal="local", version="2025-11-25", session="s")
MISFIT = InvalidArguments("add", [ArgumentProblem("a", "is missing")])


def upstream_error(code, **more):
    return UpstreamProtocolError("time", "said no", rpc_code=code, rpc_message="no", **more)


@pytest.mark.parametrize("code", [-32601, -32603, -32001, -32021, 42, 0])
def test_an_upstreams_own_error_goes_through(code):
    relayed: Any = to_rpc_error(upstream_error(code, rpc_data={"x": [1]}), client=MODERN)
    assert (relayed.code, relayed.message, relayed.data) == (code, "no", {"x": [1]})


def test_a_resource_that_is_not_there_is_told_in_the_words_of_each_era():
    gone, old_gone = upstream_error(-32602, rpc_data={"uri": "x:y"}), upstream_error(-32002)
    read = "resources/read"
    assert to_rpc_error(old_gone, client=MODERN, method=read).code == -32602
    assert to_rpc_error(old_gone, client=OLD, method=read).code == -32002
    assert to_rpc_error(gone, client=OLD, method=read).code == -32002
    assert to_rpc_error(gone, client=MODERN, method=read).code == -32602
    assert to_rpc_error(upstream_error(-32602), client=OLD, method=read).code == -32602
    assert to_rpc_error(gone, client=OLD, method="tools/call").code == -32602


@pytest.mark.parametrize("code", [-32020, -32022])
def test_errors_of_our_own_hop_are_not_the_clients(code):
    relayed: Any = to_rpc_error(upstream_error(code), client=MODERN)
    assert relayed.code == 502
    assert relayed.data["rpcCode"] == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("server", "tme", near=("time",)), -32602),
        (EntryQuarantined("time__now", ["it changed"]), -32602),
        (MISFIT, -32602),
        (NotPermitted("You may not."), 403),
        (BudgetExceeded("Spent."), 429),
        (UpstreamUnavailable("time", "it is down", retry_after_s=3.0), 503),
        (UpstreamTimeout("time", "tools/call", 5), 504),
        (UpstreamProtocolError("time", "it sent nonsense"), 502),
        (StoreBusy("Locked."), 503),
        (ToolcribError("A defect."), -32603),
    ],
)
def test_errors_of_ours_have_a_code_a_slug_and_a_sentence(error, code):
    relayed: Any = to_rpc_error(error, client=MODERN)
    assert relayed.code == code
    assert relayed.data["code"] == error.code
    assert relayed.message.startswith(error.detail.rstrip("."))
    assert relayed.message.endswith((".", "?", "!"))


def test_their_plain_data_is_there_too():
    data: Any = to_rpc_error(UpstreamUnavailable("time", "down", retry_after_s=3.0)).data
    assert (data["server"], data["retryAfterS"]) == ("time", 3.0)
    data = to_rpc_error(NotFound("server", "tme", near=("time",))).data
    assert data["near"] == ["time"]


def test_codes_of_ours_stay_out_of_the_reserved_range():
    taken = {-32602, -32603}
    for kind in vars(errors).values():
        if inspect.isclass(kind) and issubclass(kind, ToolcribError):
            error = kind.__new__(kind)
            error.detail = "It is so."
            if not isinstance(error, UpstreamProtocolError):
                code = to_rpc_error(error).code
                assert code in taken or not -32768 <= code <= -32000, kind


@pytest.mark.parametrize(
    "error",
    [MISFIT, UpstreamTimeout("time", "it", 5), ResultTooLarge("time", size=2, limit=1)],
)
def test_what_a_model_can_mend_is_a_result(error):
    result: Any = find_error_result(error)
    assert (result["isError"], result["resultType"]) == (True, "complete")
    assert error.detail.rstrip(".") in result["content"][0]["text"]


@pytest.mark.parametrize(
    "error",
    [NotFound("tool", "x"), UpstreamUnavailable("time", "down"), upstream_error(-32602)],
)
def test_what_it_cannot_is_an_error(error):
    assert find_error_result(error) is None
