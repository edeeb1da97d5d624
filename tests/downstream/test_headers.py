from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import encode_header_value

from toolcrib_server.downstream.headers import Headers, Mirrors, check_agreement
from toolcrib_server.downstream.messages import Call
from toolcrib_server.downstream.service import RpcError

VERSION = "2026-07-28"


def headers(**values):
    return Headers((name.replace("_", "-").encode(), value) for name, value in values.items())


def routed(method, name=None):
    shown = {"mcp_protocol_version": VERSION.encode(), "mcp_method": method.encode()}
    return headers(**shown, **({} if name is None else {"mcp_name": name}))


@given(st.text(min_size=1))
def test_every_name_can_be_mirrored(name):
    try:
        shown = encode_header_value(name).encode("ascii")
    except UnicodeEncodeError:
        return  # a lone surrogate: no client can send it
    check_agreement(routed("tools/call", shown), Call(1, "tools/call", {"name": name}), VERSION)


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_passes_for_another(name, other):
    call = Call(1, "tools/call", {"name": other})
    try:
        shown = encode_header_value(name).encode("ascii")
    except UnicodeEncodeError:
        return
    if name == other:
        return
    with pytest.raises(RpcError):
        check_agreement(routed("tools/call", shown), call, VERSION)


def test_blanks_around_a_value_are_no_part_of_it():
    shown = routed("tools/call", b" \techo\t ")
    check_agreement(shown, Call(1, "tools/call", {"name": "echo"}), VERSION)
    assert headers(accept=b" text/event-stream ").accepted() == (False, True)


@pytest.mark.parametrize("value", [b"=?base64?!!!?=", b"=?base64?/w==?=", b"\xff", b""])
def test_a_malformed_value_agrees_with_nothing(value):
    for name in ("", "\xff", "=?base64?!!!?="):
        with pytest.raises(RpcError) as caught:
            check_agreement(
                routed("prompts/get", value + b"x"), Call(1, "prompts/get", {"name": name}), VERSION
            )
        assert caught.value.code == -32020


@pytest.mark.parametrize("name", [None, 7, ["echo"], {"a": 1}])
def test_a_name_that_is_no_text_agrees_with_no_header(name):
    with pytest.raises(RpcError):
        check_agreement(
            routed("tools/call", b"echo"), Call(1, "tools/call", {"name": name}), VERSION
        )


@pytest.mark.parametrize(
    ("accept", "plain", "streams"),
    [
        (None, True, True),
        (b"application/json, text/event-stream", True, True),
        (b"TEXT/Event-Stream;q=0.5,application/*", True, True),
        (b"application/json", True, False),
        (b"text/*", False, True),
        (b"*/*", True, True),
        (b"image/png", False, False),
        (b"", False, False),
    ],
)
def test_what_is_accepted_is_read_from_the_header(accept, plain, streams):
    shown = headers(**({} if accept is None else {"accept": accept}))
    assert shown.accepted() == (plain, streams)


@pytest.mark.parametrize(
    ("kind", "is_json"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"text/plain", False),
        (b"", False),
        (b"application/jsonp", False),
    ],
)
def test_json_has_to_be_said_to_be_json(kind, is_json):
    assert headers(content_type=kind).bears_json is is_json


def test_a_schema_that_mirrors_nothing_is_walked_once():
    mirrors = Mirrors()
    walked = []

    class Schema(dict[str, Any]):
        def values(self):
            walked.append(1)
            return super().values()

    schema = Schema(type="object", properties={"a": {"type": "string"}})
    for _ in range(3):
        mirrors.check(headers(), Call(1, "tools/call", {"arguments": {"a": "b"}}), schema)
    assert walked == [1]


@pytest.mark.parametrize("arguments", [None, [], "x"])
def test_arguments_that_are_none_are_not_held_against_headers(arguments):
    schema = {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    Mirrors().check(headers(), Call(1, "tools/call", {"arguments": arguments}), schema)


def test_a_mirrored_header_may_not_come_twice():
    schema = {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    doubled = Headers([(b"mcp-param-a", b"x"), (b"mcp-param-a", b"x")])
    with pytest.raises(RpcError):
        Mirrors().check(doubled, Call(1, "tools/call", {"arguments": {"a": "x"}}), schema)
