"""Requests of 2026-07-28 over HTTP: every answer, every refusal, with its status."""

import json

import anyio
import httpx
import pytest

from toolcrib_server.downstream.http import HttpFace
from toolcrib_server.guard import KeyGuard, KeyRing

pytestmark = pytest.mark.anyio

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"
LEVEL = "io.modelcontextprotocol/logLevel"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def error_of(got, code, status):
    assert (got.status_code, got.json()["error"]["code"]) == (status, code), got.text
    assert got.headers["content-type"] == "application/json"
    return got.json()["error"]


async def test_a_call_is_answered_as_json_when_nothing_is_said_meanwhile(bench):
    arguments = {"text": "ünï", "big": 2**70, "float": 0.1, "null": None}
    got = await bench.call("tools/call", {"name": "echo", "arguments": arguments}, call_id="a")
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in got.headers
    assert got.json() == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {
            "content": [{"type": "text", "text": "ünï"}],
            "structuredContent": arguments,
            "x-kept": [1, None],
            "resultType": "complete",
        },
    }


async def test_the_service_sees_the_client_and_none_of_its_hop(bench):
    meta = {LEVEL: "error", "progressToken": 7, "traceparent": "00-1", "vendor/x": 1}
    await bench.call("tools/call", {"name": "echo", "odd": True}, meta=meta)
    request = bench.shop.requests[-1]
    assert request.params == {
        "name": "echo",
        "odd": True,
        "_meta": {"traceparent": "00-1", "vendor/x": 1},
    }
    client = request.client
    assert (client.principal, client.version, client.log_level) == ("ada", "2026-07-28", "error")
    assert client.info == {"name": "test", "version": "1"}
    assert (client.session, client.ask, client.notify, request.ask) == (None, None, None, None)
    assert request.wants_progress


async def test_discovery_names_the_versions_and_who_serves(bench):
    result = (await bench.call("server/discover")).json()["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["_meta"] == {SERVER_INFO: {"name": "workshop", "version": "1.2.3"}}
    assert "serverInfo" not in result
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == (
        "complete",
        0,
        "private",
    )
    assert result["capabilities"] == bench.shop.capabilities


async def test_lists_get_the_cache_hints_that_are_required(bench):
    listed = (await bench.call("resources/list")).json()["result"]
    assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
    read = (await bench.call("resources/read", {"uri": "tool://hammer"})).json()["result"]
    assert (read["ttlMs"], read["cacheScope"]) == (1000, "public")


async def test_an_unknown_method_of_an_extension_is_relayed_as_it_is(bench):
    got = await bench.call("vendor/unknown", {"a": 1})
    result = got.json()["result"]
    assert result == {"resultType": "task", "task": {"taskId": "t"}, "x": {"a": 1}}


async def test_progress_opens_a_stream_and_bears_the_clients_token(bench):
    async with bench.stream(
        "tools/call", {"name": "count", "arguments": {"upto": 2}}, meta={"progressToken": "tok"}
    ) as (got, stream):
        assert got.headers["content-type"] == "text/event-stream"
        assert got.headers["x-accel-buffering"] == "no"
        said = await stream.rest()
    told = [each["params"] for each in said[:-1]]
    assert told == [
        {"progress": 1, "total": 2, "progressToken": "tok"},
        {"progress": 2, "total": 2, "progressToken": "tok"},
    ]
    assert said[-1]["result"]["content"][0]["text"] == "counted to 2, heard"


async def test_without_a_token_no_progress_is_told(bench):
    got = await bench.call("tools/call", {"name": "count"})
    assert got.headers["content-type"] == "application/json"
    assert "unheard" in got.text


@pytest.mark.parametrize(
    ("level", "heard"),
    [(None, []), ("debug", ["debug", "warning", "emergency"]), ("error", ["emergency"])],
)
async def test_log_messages_come_at_or_above_the_level_that_is_asked_for(bench, level, heard):
    meta = {LEVEL: level} if level else {}
    async with bench.stream("tools/call", {"name": "log"}, meta=meta) as (got, stream):
        if not heard:
            assert got.headers["content-type"] == "application/json"
            return
        said = await stream.rest()
    assert [each["params"]["level"] for each in said[:-1]] == heard


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({VERSION: None}, -32602),
        ({CAPABILITIES: None}, -32602),
        ({CAPABILITIES: "all"}, -32602),
        ({INFO: ["x"]}, -32602),
        ({LEVEL: "loud"}, -32602),
        ({"progressToken": {}}, -32602),
        ({VERSION: "2025-11-25"}, -32020),
        ({VERSION: 20260728}, -32020),
    ],
)
async def test_an_envelope_that_is_not_whole_is_refused(bench, meta, code):
    error_of(await bench.call("tools/list", meta=meta), code, 400)
    assert not bench.shop.requests


async def test_a_request_without_meta_is_refused(bench):
    sent = {"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {}}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    got = await bench.send(sent, headers=headers)
    error_of(got, -32602, 400)
    assert got.json()["id"] == 5


async def test_an_unknown_version_is_told_which_there_are(bench):
    headers = {"mcp-protocol-version": "2099-01-01"}
    got = await bench.call("tools/list", meta={VERSION: "2099-01-01"}, headers=headers)
    error = error_of(got, -32022, 400)
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-protocol-version": None},
        {"mcp-protocol-version": "2025-06-18"},
        {"mcp-method": None},
        {"mcp-method": "tools/list"},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-name": None},
        {"mcp-name": "crash"},
        {"mcp-name": "=?base64?ZWNobw?="},
        {"mcp-name": "=?base64?Y3Jhc2g=?="},
    ],
)
async def test_headers_that_do_not_agree_with_the_body_are_refused(bench, headers):
    error_of(await bench.call("tools/call", {"name": "echo"}, headers=headers), -32020, 400)
    assert not bench.shop.requests


async def test_a_name_may_come_encoded(bench):
    headers = {"mcp-name": "=?base64?ZWNobw==?="}
    assert (await bench.call("tools/call", {"name": "echo"}, headers=headers)).status_code == 200


async def test_a_header_that_routes_may_not_come_twice(bench):
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    meta = {VERSION: "2026-07-28", CAPABILITIES: {}}
    content = json.dumps({**sent, "params": {"_meta": meta}})
    headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
        ("mcp-method", "tools/list"),
    ]
    got = await bench.http.post(bench.url, content=content, headers=headers)
    assert "more than once" in error_of(got, -32020, 400)["message"]


@pytest.mark.parametrize(
    ("arguments", "headers", "fits"),
    [
        ({"region": "eu", "size": 42}, {"mcp-param-region": "eu", "mcp-param-size": "42.0"}, True),
        ({"region": "eü"}, {"mcp-param-region": "=?base64?ZcO8?="}, True),
        ({"region": None}, {}, True),
        ({}, {}, True),
        ({"region": "eu"}, {}, False),
        ({"region": "eu"}, {"mcp-param-region": "us"}, False),
        ({}, {"mcp-param-region": "eu"}, False),
        ({"size": 42}, {"mcp-param-size": "43"}, False),
        ({}, {"mcp-param-other": "anything"}, True),
    ],
)
async def test_headers_that_mirror_arguments_are_held_against_them(bench, arguments, headers, fits):
    params = {"name": "mirrored", "arguments": arguments}
    got = await bench.call("tools/call", params, headers=headers)
    if fits:
        assert got.status_code == 200
    else:
        error_of(got, -32020, 400)


@pytest.mark.parametrize(
    "method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "nobody/knows"]
)
async def test_a_method_that_is_not_there_is_answered_404(bench, method):
    got = await bench.call(method, {"uri": "tool://x"}, headers={"mcp-name": None})
    error_of(got, -32601, 404)


async def test_a_resource_that_is_not_there_has_the_code_of_this_version(bench):
    got = await bench.call("resources/read", {"uri": "tool://none"})
    assert error_of(got, -32602, 400)["data"] == {"uri": "tool://none"}


async def test_a_defect_is_named_by_a_number_and_nothing_else(bench):
    got = await bench.call("tools/call", {"name": "crash"})
    error = error_of(got, -32603, 200)
    assert "incident" in error["message"]
    assert "secret" not in got.text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe{}", -32700),
        ("{}".encode("utf-16"), -32700),
        (b'{"a": NaN}', -32700),
        (b'{"a": 1e999}', -32700),
        (b'{"a": ' + b"9" * 5000 + b"}", -32700),
        (b"[" * 100_000, -32600),
        (b"[" * 200 + b"]" * 200, -32600),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b"null", -32600),
        (b'"ping"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":""}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
    ],
)
async def test_what_is_no_request_is_refused(bench, content, code):
    headers = {"content-type": "application/json", "mcp-protocol-version": "2026-07-28"}
    got = await bench.http.post(bench.url, content=content, headers=headers)
    error_of(got, code, 400)
    assert (await bench.call("tools/list")).status_code == 200


async def test_ids_come_back_as_they_were_sent(bench):
    for call_id in (0, -1, 2**63, "", "1", "ü"):
        assert (await bench.call("tools/list", call_id=call_id)).json()["id"] == call_id


async def test_lone_surrogates_become_something_that_can_be_sent(bench):
    meta = {VERSION: "2026-07-28", CAPABILITIES: {}}
    params = {"name": "echo", "arguments": {"text": "\ud800"}, "_meta": meta}
    content = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    assert "\\ud800" in content
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "echo"}
    about = {"content-type": "application/json", **headers}
    got = await bench.http.post(bench.url, content=content, headers=about)
    assert got.json()["result"]["content"][0]["text"] == "\ufffd"


async def test_only_post_is_served(bench):
    for method in ("GET", "DELETE", "PUT"):
        headers = {"mcp-protocol-version": "2026-07-28"}
        got = await bench.http.request(method, bench.url, headers=headers)
        assert (got.status_code, got.headers["allow"]) == (405, "POST")


async def test_what_cannot_be_read_or_accepted_has_its_own_status(bench):
    headers = {"content-type": "text/plain"}
    assert (await bench.call("tools/list", headers=headers)).status_code == 415
    assert (await bench.call("tools/list", headers={"accept": "image/png"})).status_code == 406
    assert (await bench.call("tools/list", headers={"accept": "*/*"})).status_code == 200
    listen = {"notifications": {"toolsListChanged": True}}
    headers = {"accept": "application/json"}
    assert (await bench.call("subscriptions/listen", listen, headers=headers)).status_code == 406


async def test_a_client_that_takes_only_json_hears_no_progress(bench):
    headers, meta = {"accept": "application/json"}, {"progressToken": 1}
    got = await bench.call("tools/call", {"name": "count"}, headers=headers, meta=meta)
    assert "counted" in got.json()["result"]["content"][0]["text"]


async def test_a_client_that_takes_only_streams_gets_one(bench):
    headers = {"accept": "text/event-stream"}
    async with bench.stream("tools/list", headers=headers) as (got, stream):
        assert got.headers["content-type"] == "text/event-stream"
        assert [each["id"] for each in await stream.rest()] == [1]


async def test_notifications_are_accepted_and_told(bench):
    headers = {"mcp-protocol-version": "2026-07-28"}
    note = {"method": "notifications/cancelled", "params": {"requestId": 1}}
    got = await bench.send(note, headers=headers)
    assert (got.status_code, got.content) == (202, b"")
    meta = {"_meta": {VERSION: "2026-07-28", CAPABILITIES: {}}, "a": 1}
    note = {"method": "notifications/vendor", "params": meta}
    assert (await bench.send(note, headers=headers)).status_code == 202
    assert [method for method, _ in bench.shop.notes] == ["notifications/vendor"]
    headers = {"mcp-protocol-version": "2099-01-01"}
    error_of(await bench.send({"method": "notifications/x"}, headers=headers), -32022, 400)


async def test_an_unknown_endpoint_is_a_problem_with_near_names(bench):
    got = await bench.http.post(bench.url.replace("/shop", "/shpo"), json={})
    assert (got.status_code, got.headers["content-type"]) == (404, "application/problem+json")
    assert got.json()["data"]["near"] == ["shop"]
    assert got.json()["code"] == "not-found"


async def test_a_registry_that_cannot_be_read_is_a_problem(bench):
    got = await bench.http.post(bench.url.replace("/shop", "/locked"), json={})
    assert (got.status_code, got.json()["code"]) == (503, "store-busy")


async def test_a_websocket_is_refused(bench):
    said = []

    async def send(message):
        said.append(message)

    await bench.face({"type": "websocket", "path": "/shop", "headers": []}, None, send)
    assert said == [{"type": "websocket.close", "code": 1008}]


async def test_a_face_that_is_not_entered_says_so(bench):
    face = HttpFace(lambda scope: find(bench.shop))
    app = KeyGuard(face, keys=KeyRing())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        got = await http.post("http://127.0.0.1/shop", **bench.modern("tools/list"))
    error_of(got, -32603, 503)


async def find(shop):
    return shop


async def test_a_note_that_comes_to_nothing_is_accepted_all_the_same(bench):
    bench.shop.note = None
    meta = {"_meta": {VERSION: "2026-07-28", CAPABILITIES: {}}}
    note = {"method": "notifications/vendor", "params": meta}
    headers = {"mcp-protocol-version": "2026-07-28"}
    assert (await bench.send(note, headers=headers)).status_code == 202
    headers = await bench.shake()
    assert (await bench.send({"method": "notifications/x"}, headers=headers)).status_code == 202


async def test_input_is_handed_on_to_a_client_that_can_give_it(bench):
    meta = {CAPABILITIES: {"elicitation": {}}}
    result = (await bench.call("tools/call", {"name": "ask"}, meta=meta)).json()["result"]
    assert result["resultType"] == "input_required"
    again = {"name": "ask", "inputResponses": {"who": 1}, "requestState": result["requestState"]}
    got = await bench.call("tools/call", again, meta=meta)
    assert got.json()["result"]["content"][0]["text"] == "answered 1"


@pytest.mark.parametrize(
    ("declared", "arguments", "missing"),
    [
        ({}, {}, {"elicitation": {"form": {}}}),
        ({"elicitation": {"url": {}}}, {}, {"elicitation": {"form": {}}}),
        ({"elicitation": {}}, {"params": {"mode": "url"}}, {"elicitation": {"url": {}}}),
        ({}, {"method": "roots/list", "params": {}}, {"roots": {}}),
        (
            {"sampling": {}},
            {"method": "sampling/createMessage", "params": {"tools": []}},
            {"sampling": {"tools": {}}},
        ),
    ],
)
async def test_a_client_that_cannot_give_input_is_told_what_it_lacks(
    bench, declared, arguments, missing
):
    params = {"name": "ask", "arguments": arguments}
    got = await bench.call("tools/call", params, meta={CAPABILITIES: declared})
    assert error_of(got, -32021, 400)["data"] == {"requiredCapabilities": missing}


async def test_who_closes_the_stream_cancels_the_request(bench):
    with anyio.move_on_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.call, "tools/call", {"name": "wait"})
            await bench.shop.running.wait()
            tasks.cancel_scope.cancel()
    await bench.shop.wait(lambda: bench.shop.cancelled == 1)


async def test_a_silent_request_is_kept_alive_by_comments(open_bench):
    async with open_bench(keep_alive_s=0.05) as bench:
        sent = {"name": "wait"}
        async with bench.stream("tools/call", sent) as (got, stream):
            assert got.headers["content-type"] == "text/event-stream"
            bench.shop.release.set()
            assert [each["id"] for each in await stream.rest()] == [1]


async def test_answers_are_never_crossed(bench):
    async def one(number):
        arguments = {"text": str(number), "upto": 3}
        params = {"name": "count" if number % 2 else "echo", "arguments": arguments}
        async with bench.stream("tools/call", params, meta={"progressToken": number}) as (got, _):
            body = (await got.aread()).decode() if "json" in got.headers["content-type"] else None
        if body:
            assert json.loads(body)["result"]["content"][0]["text"] == str(number)

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(one, number)


# --- subscriptions ------------------------------------------------------------------------------

LISTEN = "subscriptions/listen"
ID_KEY = "io.modelcontextprotocol/subscriptionId"


async def test_a_subscription_is_acknowledged_told_and_ended_gracefully(bench):
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["tool://a", "http://b"]}
    async with bench.stream(LISTEN, {"notifications": wanted}, call_id="sub") as (_, stream):
        _, first = await stream.next()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"] == {
            "notifications": {**wanted, "resourceSubscriptions": ["tool://a"]},
            "_meta": {ID_KEY: "sub"},
        }
        await bench.shop.tell("notifications/resources/updated", {"uri": "tool://a", "_meta": {}})
        _, told = await stream.next()
        assert told["params"] == {"uri": "tool://a", "_meta": {ID_KEY: "sub"}}
        bench.shop.end_listening()
        _, last = await stream.next()
        result = {"resultType": "complete", "_meta": {ID_KEY: "sub"}}
        assert last == {"jsonrpc": "2.0", "id": "sub", "result": result}
        assert await stream.next() == (None, None)


async def test_a_subscription_ends_with_its_client(bench):
    async with bench.stream(LISTEN, {"notifications": {}}) as (_, stream):
        await stream.next()
        assert bench.shop.listening == 1
    await bench.shop.wait(lambda: not bench.shop.listening)


async def test_subscriptions_end_gracefully_when_the_server_stops(bench):
    async with bench.stream(LISTEN, {"notifications": {}}) as (_, stream):
        await stream.next()
        bench.face.stop()
        assert (await stream.next())[1]["result"]["resultType"] == "complete"
    await bench.shop.wait(lambda: not bench.shop.listening)


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        [],
        {"toolsListChanged": "yes"},
        {"resourceSubscriptions": "tool://a"},
        {"resourceSubscriptions": [1]},
        {"resourceSubscriptions": ["tool://broken"]},
    ],
)
async def test_a_subscription_that_cannot_be_is_refused(bench, wanted):
    error_of(await bench.call(LISTEN, {"notifications": wanted}), -32602, 400)
    assert not bench.shop.listening


async def test_a_subscriber_that_does_not_read_costs_no_memory(bench):
    async with bench.stream(LISTEN, {"notifications": {}}) as (_, stream):
        await stream.next()
        for _ in range(3):
            for number in range(2000):
                params = {"uri": f"tool://{number}", "x": "x" * 2000}
                await bench.shop.tell("notifications/resources/updated", params)
            if not bench.shop.listening:
                break
        said = await stream.rest()
    assert "error" in said[-1]
    assert len(said) < 6000
