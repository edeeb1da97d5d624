"""Which protocol is spoken: every answer a server may give to the probe and the handshake."""

import itertools

import pytest

from toolcrib_server.upstream.connecting.era import Envelope, Negotiation
from toolcrib_server.upstream.failures import (
    BadAnswer,
    LinkLost,
    RpcFailure,
    Unanswered,
    Unauthorized,
)
from toolcrib_server.upstream.transports.testing import ScriptedLink

pytestmark = pytest.mark.anyio

MODERN = {
    "supportedVersions": ["2026-07-28", "2099-01-01"],
    "capabilities": {"tools": {}},
    "instructions": "Be\0 kind.\ud800",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "m", "version": "1"}},
}
OLD = {"protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": {"name": "o"}}


async def greet(*answers, **options):
    link = ScriptedLink(*answers)
    negotiation = Negotiation(link, itertools.count(1).__next__, probe_timeout_s=0.05)
    greeting = await negotiation.greet(**options)
    return greeting, link.sent


def unsupported(*versions):
    return RpcFailure(-32022, "Unsupported protocol version", {"supported": list(versions)})


async def test_a_modern_server_is_asked_once():
    greeting, sent = await greet(MODERN)
    assert greeting.protocol_version == "2026-07-28"
    assert greeting.is_modern
    assert (greeting.name, greeting.version, greeting.instructions) == ("m", "1", "Be kind.?")
    ((method, params, headers),) = sent
    assert method == "server/discover"
    meta = (params or {})["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "toolcrib"
    assert headers == {"mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover"}


@pytest.mark.parametrize(
    "answer",
    [
        RpcFailure(-32601, "Method not found"),
        RpcFailure(-32602, "Invalid request parameters"),
        RpcFailure(0, "what?"),
        unsupported("2025-11-25"),
        BadAnswer("answered HTTP 404"),
        Unanswered("answered HTTP 500"),
        {"supportedVersions": ["2025-11-25"]},
        {"hello": "world"},
        None,
    ],
)
async def test_anything_but_a_modern_answer_means_the_handshake(answer):
    greeting, sent = await greet(answer, OLD)
    assert greeting.protocol_version == "2025-03-26"
    assert not greeting.is_modern
    assert [method for method, _, _ in sent] == [
        "server/discover",
        "initialize",
        "notifications/initialized",
    ]
    assert (sent[1][1] or {})["protocolVersion"] == "2025-11-25"
    assert sent[2][2] == {"mcp-protocol-version": "2025-03-26"}


async def test_a_server_known_to_be_old_is_not_probed():
    _, sent = await greet(OLD, handshake_first=True)
    assert [method for method, _, _ in sent] == ["initialize", "notifications/initialized"]


async def test_a_modern_server_that_knows_no_handshake_is_found_out():
    greeting, sent = await greet(
        RpcFailure(-32601, "Method not found"), MODERN, handshake_first=True
    )
    assert greeting.is_modern
    assert [method for method, _, _ in sent] == ["initialize", "server/discover"]


async def test_a_server_that_takes_neither_says_why_it_refused_the_handshake():
    with pytest.raises(RpcFailure, match="go away"):
        await greet(RpcFailure(-2, "go away"), RpcFailure(-32601, "nope"), handshake_first=True)


async def test_a_modern_server_too_slow_for_the_probe_is_found_out():
    greeting, _ = await greet(None, unsupported("2026-07-28"), MODERN)
    assert greeting.protocol_version == "2026-07-28"


@pytest.mark.parametrize("failure", [LinkLost("gone"), Unauthorized("HTTP 401")])
async def test_a_server_that_is_gone_or_refuses_us_is_not_asked_again(failure):
    with pytest.raises(type(failure)):
        await greet(failure)


async def test_a_server_of_the_future_alone_is_an_error():
    with pytest.raises(BadAnswer, match="none of our protocol versions"):
        await greet(unsupported("2099-01-01"))


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", None, 5])
async def test_a_handshake_at_an_unknown_version_is_an_error(version):
    with pytest.raises(BadAnswer, match="which Toolcrib does not"):
        await greet({"protocolVersion": version}, handshake_first=True)


async def test_a_refused_handshake_keeps_its_error():
    with pytest.raises(RpcFailure, match="go away"):
        await greet(RpcFailure(-1, "nope"), RpcFailure(-2, "go away"))


async def test_what_belongs_to_another_hop_is_not_relayed():
    meta = {
        "io.modelcontextprotocol/protocolVersion": "1",
        "progressToken": 5,
        "traceparent": "00",
    }
    old, headers = Envelope("2025-11-25").wrap("tools/call", {"name": "x"}, meta=meta)
    assert old == {"name": "x", "_meta": {"traceparent": "00"}}
    assert headers == {"mcp-protocol-version": "2025-11-25"}
    assert Envelope("2025-11-25").wrap("tools/list", {}) == ({}, headers)
    modern, _ = Envelope("2026-07-28").wrap(
        "tools/call", {"name": "x"}, meta=meta, progress_token=9
    )
    assert modern["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert modern["_meta"]["progressToken"] == 9
