"""The pool over HTTP: SDK servers of both eras and HTTP+SSE, and scripted ones that misbehave."""

import asyncio
import base64
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from toolcrib_registry.errors import (
    ResultTooLarge,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.upstream.config.secrets import SecretStore, seal
from toolcrib_server.upstream.messages.interaction import Interaction
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def web():
    """The module of SDK servers."""
    path = Path(__file__).parents[1] / "servers" / "web.py"
    return SimpleNamespace(**runpy.run_path(str(path)))


def describe_all(web, serve):
    """One server of each kind, with the protocol version it should be spoken to in."""
    return {
        "both": (serve(web.both_eras()).http("both"), "2026-07-28"),
        "old": (serve(web.old_era()).http("old"), "2025-11-25"),
        "sse": (serve(web.sse()).sse("sse"), "2026-07-28"),
    }


@pytest.mark.parametrize("kind", ["both", "old", "sse"])
async def test_a_server_of_each_kind_is_listed_and_called(web, serve, kind):
    server, version = describe_all(web, serve)[kind]
    steps = []

    async def hear(method, params):
        steps.append(params)

    async with ConnectionPool() as pool:
        listing = await pool.list_all(server)
        assert listing.protocol_version == version
        assert [tool["name"] for tool in listing.tools] == ["echo", "slow", "steps", "grow"]
        assert listing.malformed == ()
        result = await pool.call_tool(server, "echo", {"text": "hé"}, timeout_s=10)
        assert result["content"] == [{"type": "text", "text": "hé"}]
        result = await pool.call_tool(
            server, "steps", {}, timeout_s=10, interaction=Interaction(on_notice=hear)
        )
        assert result["structuredContent"] == {"result": "done"}
        assert steps == [
            {"progress": 1, "total": 2, "message": "half"},
            {"progress": 2, "total": 2, "message": "whole"},
        ]
        wrong = await pool.call_tool(server, "echo", {"no": 1}, timeout_s=10)
        assert wrong["isError"] is True


@pytest.mark.parametrize("kind", ["both", "old", "sse"])
async def test_a_timed_out_call_leaves_the_connection_usable(web, serve, kind):
    server, _ = describe_all(web, serve)[kind]
    async with ConnectionPool() as pool:
        await pool.call_tool(server, "echo", {"text": "warm"}, timeout_s=10)
        with (
            anyio.fail_after(30),
            pytest.raises(UpstreamTimeout, match=r"tools/call within 0\.2 s"),
        ):
            await pool.call_tool(server, "slow", {}, timeout_s=0.2)
        result = await pool.call_tool(server, "echo", {"text": "still"}, timeout_s=10)
        assert result["structuredContent"] == {"result": "still"}
        assert pool.states()[0].opened == 1


@pytest.mark.parametrize("kind", ["both", "old", "sse"])
async def test_answers_are_not_crossed_under_concurrency(web, serve, kind):
    server, _ = describe_all(web, serve)[kind]
    answers = {}
    async with ConnectionPool() as pool:

        async def call(number):
            result = await pool.call_tool(server, "echo", {"text": f"{number}"}, timeout_s=20)
            answers[number] = result["structuredContent"]["result"]

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)
    assert answers == {number: f"{number}" for number in range(20)}


async def test_a_server_that_forgot_the_session_is_greeted_again_and_the_call_is_sent_once(
    web, serve
):
    running = serve(web.old_era())
    server = running.http()
    async with ConnectionPool() as pool:
        await pool.call_tool(server, "echo", {"text": "before"}, timeout_s=10)
        await anyio.to_thread.run_sync(running.stop)
        serve(web.old_era(), running.port)
        result = await pool.call_tool(server, "echo", {"text": "after"}, timeout_s=10)
        assert result["structuredContent"] == {"result": "after"}
        assert pool.states()[0].opened == 2


class EventStreams:
    """An HTTP+SSE server: each GET is a session of its own; the tool `drop` ends it."""

    def __init__(self, endpoint="/messages"):
        self.endpoint = endpoint
        self.opened = 0
        self.queue = asyncio.Queue()
        self.posted = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":
            await self.stream(send)
            return
        request = json.loads((await receive())["body"])
        self.posted.append(request)
        if "id" in request:
            answer = self.answer(request)[2]
            self.queue.put_nowait(answer)
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def answer(self, request):
        if request["method"] == "initialize":
            result = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}
            return 202, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}
        if request["method"] == "server/discover":
            return 202, {}, error_body(request, -32601, "Method not found")
        if request["method"] == "tools/call" and request["params"]["name"] == "drop":
            return 202, {}, None
        return scripted_good(request)

    async def stream(self, send):
        self.opened += 1
        self.queue = asyncio.Queue()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        event = f"event: endpoint\ndata: {self.endpoint}\n\n".encode()
        while event:
            await send({"type": "http.response.body", "body": event, "more_body": True})
            answer = await self.queue.get()
            event = answer and b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
        await send({"type": "http.response.body", "body": b""})


async def test_an_event_stream_that_ends_fails_its_calls_and_is_opened_again(serve):
    app = EventStreams()
    server = serve(app).sse()
    async with ConnectionPool() as pool:
        await pool.call_tool(server, "x", {}, timeout_s=5)
        with pytest.raises(UpstreamUnavailable, match="ended the event stream"):
            await pool.call_tool(server, "drop", {}, timeout_s=5)
        assert await pool.call_tool(server, "x", {}, timeout_s=5) == {"content": []}
    assert app.opened == 2
    assert [each["params"]["name"] for each in app.posted if each["method"] == "tools/call"] == [
        "x",
        "drop",
        "x",
    ]


async def test_messages_are_not_posted_to_another_host(serve, scripted):
    other = scripted()
    elsewhere = serve(other)
    app = EventStreams(endpoint=f"http://127.0.0.1:{elsewhere.port}/messages")
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamError, match="wants messages sent to another host"):
            await pool.list_all(serve(app).sse())
    assert other.requests == []


async def test_a_server_that_is_no_event_stream_is_told_from_one(serve, scripted):
    app = scripted(GET=lambda r: (200, {}, b"{}"))
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamError, match='set "type": "http"'):
            await pool.list_all(serve(app).sse())


async def test_nobody_listening_is_an_error_that_names_the_place(serve, scripted):
    running = serve(scripted())
    running.stop()
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match=f"127.0.0.1:{running.port}"):
            await pool.list_all(running.http())
        with pytest.raises(UpstreamUnavailable, match="Next attempt in"):
            await pool.list_all(running.http())


# --- what is sent ------------------------------------------------------------------------------


async def test_a_modern_request_carries_its_envelope_and_headers(serve, scripted):
    app = scripted()
    server = serve(app).http("web", **{"X-Mine": "1"})
    async with ConnectionPool() as pool:
        await pool.call_tool(
            server,
            "naïve",
            {"a": 1},
            timeout_s=5,
            meta={"traceparent": "00-1", "progressToken": "of the other hop"},
        )
    assert app.methods() == ["server/discover", "tools/call"]
    params, headers = app.requests[1]["params"], app.headers[1]
    assert params["name"] == "naïve"
    assert params["_meta"]["traceparent"] == "00-1"
    assert "progressToken" not in params["_meta"]
    assert params["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert params["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    encoded = base64.b64encode("naïve".encode()).decode()
    assert headers["mcp-name"] == f"=?base64?{encoded}?="
    assert headers["x-mine"] == "1"
    assert headers["accept"] == "application/json, text/event-stream"


async def test_arguments_are_mirrored_in_headers_where_the_tool_asks_for_it(serve, scripted):
    schema = {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    }
    wrong = {
        "type": "object",
        "properties": {"price": {"type": "number", "x-mcp-header": "Price"}},
    }

    def lists(request):
        tools = [
            {"name": "query", "inputSchema": schema},
            {"name": "bad", "inputSchema": wrong},
        ]
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": tools}}

    app = scripted(tools_list=lists)
    server = serve(app).http()
    async with ConnectionPool() as pool:
        listing = await pool.list_all(server)
        await pool.call_tool(server, "query", {"region": "us-west1"}, timeout_s=5)
    assert app.headers[-1]["mcp-param-region"] == "us-west1"
    assert [each.name for each in listing.malformed] == ["bad"]


async def test_a_call_refused_for_its_headers_is_listed_for_and_sent_again(serve, scripted):
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}

    def lists(request):
        result = {"tools": [{"name": "query", "inputSchema": schema}]}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    def calls(request):
        if "mcp-param-a" not in app.headers[-1]:
            error = {"code": -32020, "message": "Header mismatch"}
            return 400, {}, {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"content": []}}

    app = scripted(tools_list=lists, tools_call=calls)
    async with ConnectionPool() as pool:
        result = await pool.call_tool(serve(app).http(), "query", {"a": "x"}, timeout_s=5)
    assert result == {"content": []}


async def test_arguments_are_mirrored_as_soon_as_anybody_listed_the_tool(serve, scripted):
    """A client may list a server registered this moment, and call before its first sync."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    tools = [{"name": "query", "inputSchema": schema}, {"name": 1}, "none"]

    def lists(request):
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": tools}}

    app = scripted(tools_list=lists)
    server = serve(app).http()
    async with ConnectionPool() as pool:
        await pool.request(server, "tools/list", {}, timeout_s=5)
        await pool.call_tool(server, "query", {"a": "x"}, timeout_s=5)
        assert app.headers[-1]["mcp-param-a"] == "x"
        tools[0] = {"name": "query", "inputSchema": {"type": "object"}}
        await pool.request(server, "tools/list", {}, timeout_s=5)
        await pool.call_tool(server, "query", {"a": "x"}, timeout_s=5)
    assert "mcp-param-a" not in app.headers[-1]


async def test_arguments_are_mirrored_as_the_registry_knows_it_before_anything_is_listed(
    serve, scripted
):
    app = scripted()
    server = serve(app).http()
    async with ConnectionPool() as pool:
        await pool.call_tool(
            server, "query", {"a": "x"}, timeout_s=5, mirrored={("a",): "A", ("b",): "B"}
        )
    assert app.headers[-1]["mcp-param-a"] == "x"
    assert "mcp-param-b" not in app.headers[-1]


async def test_a_result_that_asks_for_input_is_handed_up_as_it_is(serve, scripted):
    asks = {"resultType": "input_required", "inputRequests": {"a": {}}, "requestState": "s"}
    app = scripted(
        tools_call=lambda request: (
            200,
            {},
            {"jsonrpc": "2.0", "id": request["id"], "result": asks},
        )
    )
    async with ConnectionPool() as pool:
        assert await pool.call_tool(serve(app).http(), "x", {}, timeout_s=5) == asks


async def until_told(told):
    with anyio.fail_after(30):
        while not told:
            await anyio.lowlevel.checkpoint()


async def test_a_session_is_told_of_changes_on_its_get_stream(serve, scripted):
    app = scripted(
        server_discover=lambda r: (400, {}, b""),
        initialize=lambda r: (
            200,
            {"mcp-session-id": "s1"},
            {
                "jsonrpc": "2.0",
                "id": r["id"],
                "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}},
            },
        ),
        notifications_initialized=lambda r: (202, {}, b""),
        GET=lambda r: stream(
            one_event(b'{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}')
        ),
        DELETE=lambda r: (200, {}, b""),
    )
    told = []
    async with ConnectionPool(on_list_changed=told.append) as pool:
        assert (await pool.list_all(serve(app).http())).protocol_version == "2025-06-18"
        await until_told(told)
    assert app.headers[app.methods().index("GET")]["mcp-protocol-version"] == "2025-06-18"


async def test_a_modern_server_is_listened_to(serve, scripted):
    def discover(request):
        result = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {"listChanged": True}, "prompts": {}},
        }
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    app = scripted(
        server_discover=discover,
        prompts_list=lambda r: (404, {}, error_body(r, -32601, "Method not found")),
        subscriptions_listen=lambda r: stream(
            one_event(b'{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}')
        ),
    )
    told = []
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(serve(app).http())
        await until_told(told)
    listen = app.requests[app.methods().index("subscriptions/listen")]
    assert listen["params"]["notifications"] == {"toolsListChanged": True}


# --- what comes back ---------------------------------------------------------------------------


def error_body(request, code, message, data=None):
    error = {"code": code, "message": message, "data": data}
    return {"jsonrpc": "2.0", "id": request["id"], "error": error}


async def test_an_error_of_the_server_keeps_its_code_message_and_data(serve, scripted):
    app = scripted(
        tools_call=lambda request: (200, {}, error_body(request, -32602, "no such tool", {"n": 1}))
    )
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError) as caught:
            await pool.call_tool(serve(app).http(), "x", {}, timeout_s=5)
    assert (caught.value.rpc_code, caught.value.reason) == (-32602, "no such tool")
    assert caught.value.rpc_data == {"n": 1}


async def endless():
    while True:
        yield b": still here\n\n"
        await anyio.lowlevel.checkpoint()


async def huge():
    for _ in range(200):
        yield b"x" * 100_000


async def one_event(data):
    yield b"event: message\ndata: " + data + b"\n\n"


def stream(body):
    return 200, {"content-type": "text/event-stream"}, body


PIT = b"[" * 5000 + b"]" * 5000
ANSWERS = {
    "html": (
        lambda r: (200, {"content-type": "text/html"}, b"<p>hi"),
        UpstreamProtocolError,
        "'text/html'",
    ),
    "broken json": (lambda r: (200, {}, b"{"), UpstreamProtocolError, "not JSON"),
    "a list": (lambda r: (200, {}, b"[]"), UpstreamProtocolError, "not a JSON-RPC message"),
    "deep json": (lambda r: (200, {}, b"[" * 200_000), UpstreamProtocolError, "not JSON"),
    "a pit": (
        lambda r: (200, {}, b'{"id":1,"result":' + b"[" * 200_000),
        UpstreamProtocolError,
        "more than 100 levels deep",
    ),
    "a deep event": (
        lambda r: stream(one_event(b'{"id":%d,"result":{"a":%s}}' % (r["id"], PIT))),
        UpstreamProtocolError,
        "more than 100 levels deep",
    ),
    "a deep event without id": (
        lambda r: stream(one_event(b'{"result":{"a":%s}}' % PIT)),
        UpstreamProtocolError,
        "more than 100 levels deep",
    ),
    "a long integer": (
        lambda r: (200, {}, b'{"id":%d,"result":{"a":%s}}' % (r["id"], b"9" * 5000)),
        UpstreamProtocolError,
        "an integer of more than 4300 digits",
    ),
    "content that is text": (
        lambda r: (200, {}, {"id": r["id"], "result": {"content": "x"}}),
        UpstreamProtocolError,
        "'content' that is not a list",
    ),
    "another's answer": (
        lambda r: (200, {}, {"jsonrpc": "2.0", "id": 999, "result": {}}),
        UpstreamProtocolError,
        "id of another request",
    ),
    "no result": (
        lambda r: (200, {}, {"jsonrpc": "2.0", "id": r["id"], "result": 5}),
        UpstreamProtocolError,
        "neither a result object",
    ),
    "accepted": (lambda r: (202, {"content-type": "x/y"}, b""), UpstreamProtocolError, "202"),
    "unauthorized": (lambda r: (401, {}, b"{}"), UpstreamUnavailable, "credentials .HTTP 401"),
    "trouble": (lambda r: (503, {"retry-after": "7"}, b""), UpstreamUnavailable, "HTTP 503"),
    "gone": (lambda r: (404, {}, b"{}"), UpstreamProtocolError, "HTTP 404; check the URL"),
    "elsewhere": (
        lambda r: (307, {"location": "http://other.example/mcp?state=1"}, b""),
        UpstreamProtocolError,
        "redirects to http://other.example/mcp;",
    ),
    "too large": (
        lambda r: (200, {}, b"[" + b"1," * 3_000_000 + b"1]"),
        ResultTooLarge,
        "the limit is 1000000 bytes",
    ),
    "too large, unannounced": (lambda r: (200, {}, huge()), ResultTooLarge, "the limit is"),
    "too large an event": (lambda r: stream(huge()), ResultTooLarge, "the limit is"),
    "endless stream": (lambda r: stream(endless()), UpstreamTimeout, "tools/call within 1 s"),
    "stream without result": (
        lambda r: stream(one_event(b'{"jsonrpc":"2.0","method":"notifications/message"}')),
        UpstreamUnavailable,
        "ended its answer before the result",
    ),
}


async def test_a_deep_answer_on_an_event_stream_fails_its_request_alone(serve):
    class Deep(EventStreams):
        def answer(self, request):
            if request["method"] == "tools/call" and request["params"]["name"] == "deep":
                deep = json.loads("[" * 200 + "]" * 200)
                return 202, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"a": deep}}
            return super().answer(request)

    app = Deep()
    server = serve(app).sse()
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError, match="more than 100 levels deep"):
            await pool.call_tool(server, "deep", {}, timeout_s=10)
        assert await pool.call_tool(server, "x", {}, timeout_s=5) == {"content": []}
    assert app.opened == 1


@pytest.mark.parametrize("endpoint", ["/é", "http://[", "/a b"])
async def test_an_endpoint_that_is_no_url_is_refused(serve, endpoint):
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamError, match="another host, or to no URL"):
            await pool.list_all(serve(EventStreams(endpoint=endpoint)).sse())


@pytest.mark.parametrize("case", ANSWERS)
async def test_a_bad_answer_fails_in_time_and_costs_nothing_else(serve, scripted, case):
    script, error, words = ANSWERS[case]
    bad = []
    app = scripted(tools_call=lambda r: script(r) if bad else scripted_good(r))
    server = serve(app).http()
    async with ConnectionPool(max_message_bytes=1_000_000) as pool:
        await pool.call_tool(server, "x", {}, timeout_s=5)
        bad.append(True)
        with anyio.fail_after(30), pytest.raises(error, match=words):
            await pool.call_tool(server, "x", {}, timeout_s=1 if case == "endless stream" else 20)
        bad.clear()
        assert await pool.call_tool(server, "x", {}, timeout_s=5) == {"content": []}
        assert pool.states()[0].opened == 1
    assert app.methods().count("tools/call") == 3


def scripted_good(request):
    return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"content": []}}


async def test_a_server_that_asks_to_wait_is_not_asked_again_before(serve, scripted):
    trouble = scripted(
        server_discover=lambda r: (503, {"retry-after": "30"}, b""),
        initialize=lambda r: (503, {"retry-after": "30"}, b""),
    )
    server = serve(trouble).http()
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match="HTTP 503"):
            await pool.list_all(server)
        with pytest.raises(UpstreamUnavailable) as caught:
            await pool.list_all(server)
    assert 25 < (caught.value.retry_after_s or 0) <= 30


async def test_headers_never_travel_to_another_host(serve, scripted):
    other = scripted()
    elsewhere = serve(other)
    app = scripted(
        server_discover=lambda r: (
            307,
            {"location": f"http://127.0.0.1:{elsewhere.port}/mcp"},
            b"",
        ),
        initialize=lambda r: (302, {"location": f"http://127.0.0.1:{elsewhere.port}/mcp"}, b""),
    )
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError, match="redirects to"):
            await pool.list_all(serve(app).http("web", authorization="Bearer secret"))
    assert other.requests == []


@pytest.mark.parametrize("where", ["http://[", "/é", "http://h:99999/"])
async def test_a_redirect_to_no_url_is_an_answer_like_any_other(serve, scripted, where):
    app = scripted(tools_list=lambda r: (307, {"location": where}, b""))
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError, match="redirects to"):
            await pool.list_all(serve(app).http())


async def test_a_redirect_within_the_origin_is_followed(serve, scripted):
    app = scripted()

    async def moved(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/mcp":
            headers = [(b"location", b"/mcp/")]
            await send({"type": "http.response.start", "status": 307, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await app(scope, receive, send)

    async with ConnectionPool() as pool:
        assert (await pool.list_all(serve(moved).http())).tools


async def test_a_listing_is_asked_for_again_when_the_connection_breaks(serve, scripted):
    broken = []

    async def break_off():
        yield b"{"
        raise ConnectionResetError

    def lists(request):
        if not broken:
            broken.append(True)
            return 200, {"content-length": "100"}, break_off()
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": []}}

    app = scripted(tools_list=lists)
    async with ConnectionPool() as pool:
        assert (await pool.list_all(serve(app).http())).tools == ()
    assert app.methods().count("tools/list") == 2


async def test_an_interrupted_stream_of_a_session_is_resumed(serve, scripted):
    async def priming():
        yield b"id: ev-1\nretry: 1\ndata:\n\n"

    def resume(request):
        answer = {"jsonrpc": "2.0", "id": called[0], "result": {"content": []}}
        return stream(one_event(json.dumps(answer).encode()))

    called = []

    def calls(request):
        called.append(request["id"])
        return stream(priming())

    def initialize(request):
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        return (
            200,
            {"mcp-session-id": "s1"},
            {"jsonrpc": "2.0", "id": request["id"], "result": result},
        )

    def get(request):
        if "last-event-id" not in app.headers[-1]:
            return 405, {}, b""
        return resume(request)

    app = scripted(
        server_discover=lambda r: (400, {}, b""),
        initialize=initialize,
        notifications_initialized=lambda r: (202, {}, b""),
        tools_call=calls,
        GET=get,
        DELETE=lambda r: (200, {}, b""),
    )
    async with ConnectionPool() as pool:
        result = await pool.call_tool(serve(app).http(), "x", {}, timeout_s=5)
    assert result == {"content": []}
    resumed = next(headers for headers in app.headers if "last-event-id" in headers)
    assert resumed["last-event-id"] == "ev-1"
    assert resumed["mcp-session-id"] == "s1"
    assert app.methods()[-1] == "DELETE"


async def test_the_proxy_of_the_environment_is_used_for_other_hosts_alone(
    serve, scripted, monkeypatch
):
    proxy, direct = scripted(), scripted()
    monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{serve(proxy).port}")
    monkeypatch.setenv("no_proxy", "")
    far = Server(name=ServerName("far"), transport=HttpTransport("http://far.invalid/mcp"))
    async with ConnectionPool() as pool:
        assert (await pool.list_all(far)).tools
        assert (await pool.list_all(serve(direct).http())).tools
    assert {headers["host"] for headers in proxy.headers} == {"far.invalid"}
    assert proxy.headers[0]["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in direct.headers[0]


# --- secrets -----------------------------------------------------------------------------------


async def test_a_sealed_header_is_sent_and_never_shown(serve, scripted, tmp_path):
    token = "Bearer sk-live-1234567890"
    app = scripted(
        tools_call=lambda r: (200, {}, error_body(r, -32000, "sk-live-1234567890 is expired"))
    )
    secrets = SecretStore(tmp_path / "secrets.json")
    server = seal(serve(app).http("web", Authorization=token), secrets)
    async with ConnectionPool(secrets=secrets) as pool:
        with pytest.raises(UpstreamProtocolError) as caught:
            await pool.call_tool(server, "x", {}, timeout_s=5)
    assert app.headers[-1]["authorization"] == token
    assert "sk-live" not in str(caught.value)
    assert "sk-live" not in repr(server)


async def test_a_sealed_parameter_is_sent_as_it_was_written(serve, scripted, tmp_path):
    paths = []
    app = scripted()

    async def noting(scope, receive, send):
        if scope["type"] == "http":
            paths.append(scope["query_string"])
        await app(scope, receive, send)

    secrets = SecretStore(tmp_path / "secrets.json")
    query = "a=1&api_key=p%40ss%2Fw%2Brd+1&z=%C3%A9"
    server = seal(serve(noting).http(path=f"/mcp?{query}"), secrets)
    assert "p%40ss" not in repr(server)
    async with ConnectionPool(secrets=secrets) as pool:
        assert (await pool.list_all(server)).tools
    assert set(paths) == {query.encode()}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("file:///etc/passwd", "not an http or https URL"),
        ("http://bücher.example/mcp", "letter outside ASCII"),
        ("http://a.example/m cp", "a space"),
        ("http://a.example\\@b.example/", "a backslash"),
        ("http://me:pass@a.example/", "user name or password"),
        ("http://a.example:0/", "not an http or https URL"),
        ("$${é}", "not an http or https URL"),
    ],
)
@pytest.mark.parametrize("by_variable", [True, False])
async def test_a_url_is_checked_once_its_variables_are_known(where, words, by_variable, caplog):
    url = "${WHERE}" if by_variable else where
    server = Server(name=ServerName("web"), transport=HttpTransport(url))
    async with ConnectionPool(env={"WHERE": where}) as pool:
        with pytest.raises(UpstreamUnavailable, match=words):
            await pool.list_all(server)
    assert "Traceback" not in caplog.text
