"""A server that lists what it listed before is seen to do so with one request, and no more kept."""

import json
from dataclasses import replace

import anyio
import pytest

from toolcrib_registry.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from toolcrib_registry.types import ServerHealth, ServerStatus
from toolcrib_server.upstream.config.secrets import SecretStore, seal
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio

TOOL = {"name": "echo", "inputSchema": {"type": "object"}}


def listing_of(*tools, **hints):
    def lists(request):
        result = {"tools": list(tools), **hints}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    return lists


def after(server, listing):
    """The server as the registry has it after a sync that found this listing."""
    health = ServerHealth(
        status=ServerStatus.READY,
        protocol_version=listing.protocol_version,
        reported_name=listing.reported_name,
        reported_version=listing.reported_version,
        instructions=listing.instructions,
        capabilities=json.loads(json.dumps(listing.capabilities)),
        listing_digest=listing.digest,
    )
    return replace(server, health=health)


async def know(server):
    """Sync a server in a process of its own; return it as the registry has it then."""
    async with ConnectionPool() as pool:
        return after(server, await pool.list_all(server))


KNOWN = Attention(greet_again_s=1e9)
"""No server comes due for another greeting, whatever chance has to say."""
STRANGE = Attention(greet_again_s=0.0)


def open_pool(attention=KNOWN, **settings):
    return ConnectionPool(attention=attention, **settings)


async def test_a_list_that_is_as_it_was_costs_one_request_and_leaves_no_connection(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL, ttlMs=5000, cacheScope="public"))
    server = await know(serve(app).http())
    app.requests.clear()
    async with open_pool() as pool:
        for _ in range(3):
            listing = await pool.list_all(server, known_digest=server.health.listing_digest)
            assert listing.unchanged
            assert (listing.ttl_ms, listing.cache_scope) == (5000, "public")
            assert listing.digest == server.health.listing_digest
        assert pool.states() == ()
    assert app.methods() == ["tools/list"] * 3
    meta = app.requests[0]["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert app.headers[-1]["mcp-method"] == "tools/list"


async def test_a_list_that_is_not_as_it_was_is_read_with_a_new_greeting(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    app.scripts["tools_list"] = listing_of(TOOL, {**TOOL, "name": "new"})
    app.requests.clear()
    async with open_pool() as pool:
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert not listing.unchanged
    assert [tool["name"] for tool in listing.tools] == ["echo", "new"]
    assert listing.digest != server.health.listing_digest
    assert app.methods() == ["tools/list", "server/discover", "tools/list"]


async def test_without_a_digest_everything_is_read(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    async with open_pool() as pool:
        listing = await pool.list_all(server)
    assert listing.tools == (TOOL,)
    assert not listing.unchanged


async def test_an_open_connection_is_used_and_tells_the_same(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    async with open_pool() as pool:
        await pool.call_tool(server, "echo", {}, timeout_s=5)
        app.requests.clear()
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert listing.unchanged
    assert app.methods() == ["tools/list"]


async def test_over_stdio_an_unchanged_list_is_told_too(raw):
    async with open_pool() as pool:
        first = await pool.list_all(raw("plain"))
        again = await pool.list_all(raw("plain"), known_digest=first.digest)
    assert again.unchanged
    assert again.tools == ()


async def test_a_server_that_is_of_the_handshake_era_now_is_greeted_as_such(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())

    def initialize(request):
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    def lists(request):
        if "mcp-method" in app.headers[-1]:
            return 400, {}, b"Bad Request"
        return listing_of(TOOL)(request)

    app.scripts |= {
        "server_discover": lambda r: (400, {}, b""),
        "initialize": initialize,
        "notifications_initialized": lambda r: (202, {}, b""),
        "tools_list": lists,
    }
    async with open_pool() as pool:
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert listing.protocol_version == "2025-06-18"
    assert not listing.unchanged  # what the server says of itself is part of the digest


@pytest.mark.parametrize(
    "answer", [(500, {}, b""), (200, {}, b"{"), (307, {"location": "//x"}, b"")]
)
async def test_trouble_at_a_glance_is_met_again_and_said_in_full(serve, scripted, answer):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    once = [answer]
    app.scripts["tools_list"] = lambda r: once.pop() if once else listing_of(TOOL)(r)
    async with open_pool() as pool:
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert listing.unchanged
    assert listing.protocol_version == "2026-07-28"


async def test_a_server_that_is_gone_is_unavailable_and_left_alone_for_a_while(serve, scripted):
    running = serve(scripted(tools_list=listing_of(TOOL)))
    server = await know(running.http())
    running.stop()
    async with open_pool() as pool:
        for words in ("no connection to", "Next attempt in"):
            with pytest.raises(UpstreamUnavailable, match=words):
                await pool.list_all(server, known_digest=server.health.listing_digest)


async def test_a_server_that_hangs_is_given_up_in_time(serve, scripted):
    async def hang():
        yield b"{"
        await anyio.sleep_forever()

    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    app.scripts["tools_list"] = lambda r: (200, {}, hang())
    async with open_pool(list_timeout_s=0.3) as pool:
        with pytest.raises(UpstreamTimeout):
            await pool.list_all(server, known_digest=server.health.listing_digest)


async def test_a_server_is_greeted_again_after_a_while(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    app.requests.clear()
    async with open_pool(STRANGE) as pool:
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert listing.unchanged
    assert app.methods()[0] == "server/discover"
    assert app.methods().count("tools/list") == 1


async def test_a_connection_that_is_kept_is_greeted_again_after_a_while(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    async with open_pool(STRANGE) as pool:
        server = serve(app).http()
        await pool.list_all(server)
        await pool.list_all(server)
    assert app.methods()[-2:] == ["server/discover", "tools/list"]
    assert app.methods().count("server/discover") == 3


async def test_a_server_whose_settings_changed_is_greeted_first(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    app.requests.clear()
    async with open_pool() as pool:
        await pool.aclose_server(server.name)
        await pool.list_all(server, known_digest=server.health.listing_digest)
    assert app.methods() == ["server/discover", "tools/list"]


async def test_credentials_are_filled_in_and_sent(serve, scripted, tmp_path):
    secrets = SecretStore(tmp_path / "secrets.json")
    app = scripted(tools_list=listing_of(TOOL))
    plain = serve(app).http("web", authorization="Bearer hunter2hunter2")
    server = seal(plain, secrets)
    async with open_pool(secrets=secrets) as pool:
        known = after(server, await pool.list_all(server))
    async with open_pool(secrets=secrets) as pool:
        listing = await pool.list_all(known, known_digest=known.health.listing_digest)
        assert pool.states() == ()
    assert listing.unchanged
    assert app.headers[-1]["authorization"] == "Bearer hunter2hunter2"


async def test_an_answer_on_an_event_stream_is_as_good(serve, scripted):
    async def stream(request):
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": {"tools": [TOOL]}}
        yield b"data: " + json.dumps(answer).encode() + b"\n\n"

    app = scripted(tools_list=lambda r: (200, {"content-type": "text/event-stream"}, stream(r)))
    server = await know(serve(app).http())
    async with open_pool() as pool:
        listing = await pool.list_all(server, known_digest=server.health.listing_digest)
        assert pool.states() == ()
        app.requests.clear()
        again = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert listing.unchanged
    assert again.unchanged
    assert app.methods() == ["tools/list"]  # it is known by now what to ask it by


async def test_every_list_of_a_server_is_looked_at(serve, scripted):
    offers = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "prompts": {}}}
    prompts = [{"name": "greet"}]

    def answer(result):
        return lambda r: (200, {}, {"jsonrpc": "2.0", "id": r["id"], "result": result})

    app = scripted(
        server_discover=answer(offers),
        tools_list=listing_of(TOOL),
        prompts_list=answer({"prompts": prompts}),
    )
    server = await know(serve(app).http())
    async with open_pool() as pool:
        same = await pool.list_all(server, known_digest=server.health.listing_digest)
        prompts[0] = {"name": "part"}
        other = await pool.list_all(server, known_digest=server.health.listing_digest)
    assert same.unchanged
    assert [prompt["name"] for prompt in other.prompts] == ["part"]


async def test_an_answer_to_another_request_is_not_believed(serve, scripted):
    def mixed_up(request):
        result = {"tools": [TOOL]}
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"] + 1, "result": result}

    app = scripted(tools_list=listing_of(TOOL))
    server = await know(serve(app).http())
    app.scripts["tools_list"] = mixed_up
    async with open_pool() as pool:
        with pytest.raises(UpstreamProtocolError, match="the id of another request"):
            await pool.list_all(server, known_digest=server.health.listing_digest)


async def test_many_servers_at_once_share_few_connections(serve, scripted):
    app = scripted(tools_list=listing_of(TOOL))
    running = serve(app)
    known = await know(running.http())
    servers = [replace(known, name=f"s{at}") for at in range(200)]
    unchanged = []

    async def one(pool, server):
        listing = await pool.list_all(server, known_digest=known.health.listing_digest)
        unchanged.append(listing.unchanged)

    async with open_pool() as pool:
        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(one, pool, server)
        assert pool.states() == ()
    assert unchanged == [True] * 200
