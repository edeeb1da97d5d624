"""Changes of a server's lists are heard, in both eras, over every transport, also after a gap."""

import json
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio

SERVERS = Path(__file__).parents[1] / "servers"
KINDS = ("tools", "prompts", "resources")
CHANGED = b'data: {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}\n\n'


@pytest.fixture(scope="module")
def changing():
    """The module of servers whose lists change."""
    return SimpleNamespace(**runpy.run_path(str(SERVERS / "changing.py")))


AT_ONCE = Attention(again_s=(0.01, 0.05))
"""Lets the pauses before listening again be short."""
QUIET = Attention(again_s=(0.01, 0.05), quiet_s=0.3)
"""Takes a stream for dead early."""
PATIENT = Attention(agree_s=60.0)
"""Waits long for a server that may still agree."""


async def until(condition):
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # of another thread's server, as a rule
            await anyio.sleep(0.005)


class Told(list[str]):
    """Who was told of; can be waited for."""

    async def until(self, count):
        await until(lambda: len(self) >= count)


def heard(pool):
    return pool.states()[0].hears


async def until_heard(pool, *kinds):
    await until(lambda: heard(pool) == tuple(sorted(kinds)))


# --- servers written with the SDK --------------------------------------------------------------


@pytest.mark.parametrize("transport", ["http", "stdio", "sse"])
async def test_each_kind_of_change_is_heard_from_a_server_of_2026(changing, serve, transport):
    if transport == "http":
        server = serve(changing.make().streamable_http_app()).http()
    elif transport == "sse":
        server = serve(changing.make().sse_app()).sse("web")
    else:
        command = StdioTransport(sys.executable, (str(SERVERS / "changing.py"),))
        server = Server(name=ServerName("web"), transport=command)
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(server)
        assert heard(pool) == tuple(sorted(KINDS))
        assert told == []  # subscribed before it was listed: nothing can have been missed
        for count, kind in enumerate(KINDS, 1):
            await pool.call_tool(server, "publish", {"kind": kind}, timeout_s=10)
            await told.until(count)
    assert told == ["web"] * 3


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_each_kind_of_change_is_heard_on_a_connection_of_the_handshake_era(
    changing, serve, transport
):
    app = changing.make()
    if transport == "sse":
        server = serve(refusing_modern(app.sse_app())).sse("web")
    else:
        server = serve(refusing_modern(app.streamable_http_app())).http()
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        listing = await pool.list_all(server)
        assert listing.protocol_version == "2025-11-25"
        for count, kind in enumerate(KINDS, 1):
            with anyio.fail_after(10):
                while len(told) < count:  # the stream may come up after the first
                    await pool.call_tool(server, "send", {"kind": kind}, timeout_s=10)
    assert set(told) == {"web"}


def refusing_modern(app):
    """Have an application refuse what came with 2026-07-28, as it did before."""

    async def guard(scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        event = await receive()
        if b'"server/discover"' in event["body"]:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        events = [event]

        async def again():
            return events.pop() if events else await receive()

        await app(scope, again, send)

    return guard


async def test_a_server_that_restarts_is_listened_to_again_and_told_of(changing, serve):
    running = serve(changing.make().streamable_http_app())
    server = running.http()
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=AT_ONCE) as pool:
        await pool.list_all(server)
        await anyio.to_thread.run_sync(running.stop)
        await until_heard(pool)
        assert told == []
        serve(changing.make().streamable_http_app(), running.port)
        await told.until(1)  # it may have changed meanwhile
        assert heard(pool) == tuple(sorted(KINDS))
        await pool.call_tool(server, "publish", {"kind": "tools"}, timeout_s=10)
        await told.until(2)


async def test_a_process_that_dies_is_told_of_so_that_a_sync_starts_it_again(raw):
    server = raw("plain")
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(server)
        assert heard(pool) == ("tools",)
        with pytest.raises(Exception, match="exit code 7"):
            await pool.call_tool(server, "echo", {"die": True}, timeout_s=10)
        assert told == []
        await told.until(1)
        await pool.list_all(server)
        assert heard(pool) == ("tools",)
        assert told == ["plain"]


# --- servers that do as they like ----------------------------------------------------------------


def discovering(**capabilities):
    def discover(request):
        result = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    return discover


ANNOUNCING = discovering(tools={"listChanged": True}, prompts={"listChanged": True})


def prompts(request):
    return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"prompts": []}}


def agree(request, **kinds):
    params = {
        "_meta": {"io.modelcontextprotocol/subscriptionId": request["id"]},
        "notifications": kinds or request["params"]["notifications"],
    }
    method = "notifications/subscriptions/acknowledged"
    text = json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
    return b"data: " + text.encode() + b"\n\n"


def streaming(body):
    return 200, {"content-type": "text/event-stream"}, body


async def stay_open(*chunks):
    for chunk in chunks:
        yield chunk
    await anyio.sleep_forever()


async def end_after(*chunks):
    for chunk in chunks:
        yield chunk


ODD_AGREEMENT = (
    b'{"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params":'
    b' {"notifications": {"toolsListChanged": "yes", "promptsListChanged": true}}}'
)


def announcing(scripted, listen, **scripts):
    """A server that announces changes, and answers a subscription with ``listen``."""
    return scripted(
        server_discover=ANNOUNCING, prompts_list=prompts, subscriptions_listen=listen, **scripts
    )


async def test_the_subscription_asks_for_what_is_announced_and_is_made_before_listing(
    serve, scripted
):
    app = announcing(scripted, lambda r: streaming(stay_open(agree(r))))
    async with ConnectionPool(on_list_changed=Told().append) as pool:
        await pool.list_all(serve(app).http())
        assert heard(pool) == ("prompts", "tools")
    assert app.methods() == [
        "server/discover",
        "subscriptions/listen",
        "tools/list",
        "prompts/list",
    ]
    wanted = app.requests[1]["params"]["notifications"]
    assert wanted == {"toolsListChanged": True, "promptsListChanged": True}


async def test_a_server_may_agree_to_some_kinds_only(serve, scripted):
    app = announcing(scripted, lambda r: streaming(stay_open(agree(r, toolsListChanged=True))))
    async with ConnectionPool(on_list_changed=Told().append) as pool:
        await pool.list_all(serve(app).http())
        assert heard(pool) == ("tools",)


async def test_a_server_that_agrees_to_nothing_gives_its_place_to_another(serve, scripted):
    vain = announcing(scripted, lambda r: streaming(stay_open(agree(r, somethingElse=True))))
    good = announcing(scripted, lambda r: streaming(stay_open(agree(r))))
    async with ConnectionPool(
        on_list_changed=Told().append, attention=Attention(max_listening=1), idle_timeout_s=0.4
    ) as pool:
        await pool.list_all(serve(vain).http("vain"))
        with anyio.fail_after(30):
            while True:
                await pool.list_all(serve(good).http("good"))
                states = {str(state.server): state.hears for state in pool.states()}
                if states["good"]:
                    break
                await pool.aclose_server(ServerName("good"))
                await anyio.sleep(0.05)
    assert states["vain"] == ()


@pytest.mark.parametrize("chunks", [(), (CHANGED,)])
async def test_a_stream_that_ends_at_once_over_and_over_is_asked_for_with_growing_pauses(
    serve, scripted, chunks
):
    attention = Attention(again_s=(0.05, 300.0))
    app = announcing(scripted, lambda r: streaming(end_after(agree(r), *chunks)))
    async with ConnectionPool(on_list_changed=Told().append, attention=attention) as pool:
        started = time.monotonic()
        await pool.list_all(serve(app).http())
        await until(lambda: app.methods().count("subscriptions/listen") == 4)
        assert time.monotonic() - started > 0.75 * (0.05 + 0.1 + 0.2)


async def test_a_server_that_refuses_to_be_listened_to_is_listed_without_delay(serve, scripted):
    def refuse(request):
        error = {"code": -32601, "message": "Method not found"}
        return 404, {}, {"jsonrpc": "2.0", "id": request["id"], "error": error}

    app = announcing(scripted, refuse)
    async with ConnectionPool(on_list_changed=Told().append, attention=PATIENT) as pool:
        with anyio.fail_after(30):
            await pool.list_all(serve(app).http())
        assert heard(pool) == ()


async def test_a_server_that_never_agrees_is_listed_all_the_same(serve, scripted):
    attention = Attention(agree_s=3.0)
    app = announcing(scripted, lambda r: streaming(stay_open(b": patience\n\n")))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=attention) as pool:
        server = serve(app).http()
        assert (await pool.list_all(server)).tools
        with anyio.fail_after(2.9):  # it is waited for once
            await pool.list_all(server)


async def test_a_change_during_a_late_agreement_is_not_missed(serve, scripted):
    attention = Attention(agree_s=0.1)
    listed = []

    async def late(request):
        await until(lambda: listed)
        yield agree(request)
        await anyio.sleep_forever()

    app = announcing(scripted, lambda r: streaming(late(r)))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=attention) as pool:
        await pool.list_all(serve(app).http())
        assert told == []
        listed.append(True)
        await told.until(1)


async def test_a_stream_without_a_byte_for_long_is_taken_for_dead(serve, scripted):
    app = announcing(scripted, lambda r: streaming(stay_open(agree(r))))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=QUIET) as pool:
        await pool.list_all(serve(app).http())
        await told.until(2)
    assert app.methods().count("subscriptions/listen") >= 3


async def test_comments_keep_a_stream_alive(serve, scripted):
    beats = []

    async def beating(request):
        yield agree(request)
        while True:
            await anyio.sleep(0.05)
            beats.append(request["id"])
            yield b": still here\n\n"

    app = announcing(scripted, lambda r: streaming(beating(r)))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=QUIET) as pool:
        await pool.list_all(serve(app).http())
        await until(lambda: len(beats) >= 12)
        assert heard(pool) == ("prompts", "tools")
    assert len(set(beats)) == 1
    assert told == []


async def test_noise_on_a_stream_changes_nothing(serve, scripted):
    noise = (
        b"data: {broken\n\n",
        b"data: [1, 2]\n\n",
        b"data: 42\n\n",
        b'data: {"jsonrpc": "2.0", "id": 999, "result": {}}\n\n',
        b'data: {"jsonrpc": "2.0", "method": "notifications/something/else"}\n\n',
        b'data: {"jsonrpc": "2.0", "method": "notifications/tools/list_changed/x"}\n\n',
        b'data: {"jsonrpc": "2.0", "method": ["notifications/tools/list_changed"]}\n\n',
        b"data: " + ODD_AGREEMENT + b"\n\n",
        b"data: " + b"[" * 5000 + b"\n\n",
        CHANGED,
    )
    app = announcing(scripted, lambda r: streaming(stay_open(agree(r), *noise)))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(serve(app).http())
        await told.until(1)
        await until_heard(pool, "prompts")


async def test_a_line_that_never_ends_costs_its_stream_and_little_memory(serve, scripted):
    async def endless(request):
        yield agree(request)
        for _ in range(40):
            yield b"x" * 16384
        await anyio.sleep_forever()

    app = announcing(scripted, lambda r: streaming(endless(r)))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=AT_ONCE) as pool:
        server = serve(app).http()
        await pool.list_all(server)
        await told.until(2)
        assert (await pool.call_tool(server, "x", {}, timeout_s=5))["content"]


async def test_a_flood_of_notifications_starves_nobody(serve, scripted):
    async def flooding(request):
        yield agree(request)
        while True:
            yield CHANGED * 2000
            await anyio.lowlevel.checkpoint()

    hostile = announcing(scripted, lambda r: streaming(flooding(r)))
    good = serve(scripted()).http("good")
    told = set()
    async with ConnectionPool(on_list_changed=told.add) as pool:
        await pool.list_all(serve(hostile).http("hostile"))
        for _ in range(20):
            await pool.call_tool(good, "x", {}, timeout_s=5)
    assert told == {"hostile"}


# --- sessions of the handshake era -------------------------------------------------------------


def session(scripted, get, **scripts):
    def initialize(request):
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}},
        }
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        return 200, {"mcp-session-id": "s1"}, answer

    return scripted(
        server_discover=lambda r: (400, {}, b""),
        initialize=initialize,
        notifications_initialized=lambda r: (202, {}, b""),
        GET=get,
        DELETE=lambda r: (200, {}, b""),
        **scripts,
    )


async def test_a_session_is_followed_before_it_is_listed(serve, scripted):
    app = session(scripted, lambda r: streaming(stay_open(b": hello\n\n")))
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        await pool.list_all(serve(app).http())
        assert heard(pool) == ("tools",)
    methods = app.methods()
    assert methods.index("GET") < methods.index("tools/list")
    assert told == []


async def test_a_get_stream_that_ends_at_once_is_asked_for_with_growing_pauses(serve, scripted):
    attention = Attention(again_s=(0.05, 300.0))
    app = session(scripted, lambda r: streaming(end_after(b"retry: 0\n\n")))
    async with ConnectionPool(on_list_changed=Told().append, attention=attention) as pool:
        started = time.monotonic()
        await pool.list_all(serve(app).http())
        await until(lambda: app.methods().count("GET") == 4)
        assert time.monotonic() - started > 0.75 * (0.05 + 0.1 + 0.2)


async def test_a_gap_of_a_get_stream_is_told_of_unless_it_is_resumed(serve, scripted):
    turns = []

    def get(request):
        turns.append(app.headers[-1].get("last-event-id"))
        if len(turns) < 4:
            return streaming(end_after(b"retry: 1\nid: e\ndata:\n\n" if len(turns) == 2 else b""))
        return streaming(stay_open(b": hello\n\n"))

    app = session(scripted, get)
    told = Told()
    async with ConnectionPool(on_list_changed=told.append, attention=AT_ONCE) as pool:
        await pool.list_all(serve(app).http())
        await until(lambda: len(turns) >= 4)
    assert turns == [None, None, "e", "e"]
    assert told == ["web"]  # the second stream was new; the later ones went on where it ended


async def test_a_session_without_a_get_stream_is_polled(serve, scripted):
    app = session(scripted, lambda r: (405, {}, b""))
    async with ConnectionPool(on_list_changed=Told().append, attention=PATIENT) as pool:
        with anyio.fail_after(30):
            await pool.list_all(serve(app).http())
        await until_heard(pool)
    assert app.methods().count("GET") == 1


# --- how many are listened to ------------------------------------------------------------------


async def test_servers_beyond_the_limit_are_not_listened_to(serve, scripted):
    apps = [announcing(scripted, lambda r: streaming(stay_open(agree(r)))) for _ in range(3)]
    servers = [serve(app).http(f"s{at}") for at, app in enumerate(apps)]
    async with ConnectionPool(
        on_list_changed=Told().append, attention=Attention(max_listening=2)
    ) as pool:
        for server in servers:
            await pool.list_all(server)
        assert [bool(state.hears) for state in pool.states()] == [True, True, False]
        await pool.aclose_server(ServerName("s0"))
        await pool.aclose_server(ServerName("s2"))
        await pool.list_all(servers[2])
        assert [bool(state.hears) for state in pool.states()] == [True, True]


async def test_an_idle_connection_is_kept_while_it_is_listened_on(serve, scripted):
    app = announcing(scripted, lambda r: streaming(stay_open(agree(r))))
    quiet = serve(scripted()).http("quiet")
    async with ConnectionPool(on_list_changed=Told().append, idle_timeout_s=0.1) as pool:
        await pool.list_all(serve(app).http())
        await pool.list_all(quiet)
        await until(
            lambda: {str(each.server): each.status for each in pool.states()}["quiet"] != "open"
        )
        assert {str(each.server): each.status for each in pool.states()}["web"] == "open"


async def test_connections_opened_for_listings_alone_are_not_all_kept(serve, scripted):
    app = scripted()
    running = serve(app)
    servers = [running.http(f"s{at}") for at in range(6)]
    async with ConnectionPool(on_list_changed=Told().append, max_warm=2) as pool:
        for server in servers:
            await pool.list_all(server)
        assert [state.server for state in pool.states() if state.status == "open"] == ["s0", "s1"]


async def test_a_server_that_can_be_called_again_is_told_of(serve, scripted):
    trouble = []

    def lists(request):
        if trouble:
            return 503, {}, b""
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": []}}

    server = serve(scripted(tools_list=lists)).http()
    told = Told()
    async with ConnectionPool(on_list_changed=told.append) as pool:
        trouble.append(True)
        with pytest.raises(Exception, match="503"):
            await pool.list_all(server)
        for _ in range(2):
            await pool.call_tool(server, "echo", {}, timeout_s=5)
    assert told == ["web"]
