"""A server is met as it was met last, by whichever process; one that was upgraded is found out."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toolcrib_registry.types import Server, ServerHealth, ServerName, StdioTransport
from toolcrib_server.upstream.messages.interaction import SHARED, Profile
from toolcrib_server.upstream.pool.eras import Eras, Identity
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio
SCRIPT = Path(__file__).parents[1] / "servers" / "ageing.py"
HANDSHAKE = ["initialize", "notifications/initialized", "tools/list"]


class Ageing:
    """A real server, what it was sent at its last starts, and what the registry has of it."""

    def __init__(self, folder):
        self.folder = folder
        transport = StdioTransport(sys.executable, (str(SCRIPT), str(folder)))
        self.server = Server(name=ServerName("ageing"), transport=transport)
        self.tail = ()

    def become(self, era, version="1"):
        (self.folder / "is.json").write_text(json.dumps({"era": era, "version": version}))

    async def list(self, pool):
        """Have it listed, as a sync does; return what it was sent for that."""
        (self.folder / "sent").unlink(missing_ok=True)
        listing = await pool.list_all(self.server)
        health = ServerHealth(
            synced_at=datetime.now(UTC),
            protocol_version=listing.protocol_version,
            reported_name=listing.reported_name,
            reported_version=listing.reported_version,
        )
        self.server = replace(self.server, health=health)
        self.tail = pool.states()[0].stderr_tail
        return (self.folder / "sent").read_text().split()

    async def list_anew(self):
        """Have it listed by a process that knows of it what the registry has."""
        async with ConnectionPool() as pool:
            return await self.list(pool)

    @property
    def speaks(self):
        return self.server.health.protocol_version


@pytest.fixture
def ageing(tmp_path):
    found = Ageing(tmp_path)
    found.become("old")
    return found


async def test_a_server_that_logs_unknown_methods_is_asked_once_and_no_more(ageing):
    assert await ageing.list_anew() == ["server/discover", *HANDSHAKE]
    assert ageing.tail == ("unknown method server/discover",)
    for _ in range(2):
        assert await ageing.list_anew() == HANDSHAKE
        assert ageing.tail == ()


async def test_a_server_of_today_is_never_met_with_a_handshake(ageing):
    ageing.become("new")
    for _ in range(2):
        assert await ageing.list_anew() == ["server/discover", "tools/list"]


@pytest.mark.parametrize(
    ("era", "sent"),
    [
        ("both", ["initialize", "notifications/initialized", "server/discover", "tools/list"]),
        ("new", ["initialize", "server/discover", "tools/list"]),
        ("deadly", ["initialize", "server/discover", "tools/list"]),
    ],
)
async def test_one_that_was_upgraded_is_found_out_at_once(ageing, era, sent):
    await ageing.list_anew()
    ageing.become(era, version="2")
    assert await ageing.list_anew() == sent
    assert ageing.speaks == "2026-07-28"
    assert await ageing.list_anew() == ["server/discover", "tools/list"]


async def test_so_is_one_that_is_upgraded_while_this_process_runs(ageing):
    async with ConnectionPool() as pool:
        await ageing.list(pool)
        ageing.become("old", version="2")
        await pool.aclose_server(ageing.server.name)
        assert await ageing.list(pool) == [*HANDSHAKE[:2], "server/discover", *HANDSHAKE]
        ageing.become("both", version="3")
        await pool.aclose_server(ageing.server.name)
        await ageing.list(pool)
        assert ageing.speaks == "2026-07-28"


async def test_one_that_says_nothing_of_its_upgrade_is_found_out_within_a_day(ageing):
    await ageing.list_anew()
    ageing.become("both")
    assert await ageing.list_anew() == HANDSHAKE  # it does as well as ever
    long_ago = datetime.now(UTC) - timedelta(days=1)
    ageing.server = replace(ageing.server, health=replace(ageing.server.health, synced_at=long_ago))
    assert await ageing.list_anew() == ["server/discover", "tools/list"]


async def test_an_old_server_over_http_is_asked_once_too(serve, scripted):
    def initialize(request):
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "web", "version": "1"},
        }
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    old = {"initialize": initialize, "server_discover": lambda _: (400, {}, b"")}
    app = scripted(notifications_initialized=lambda _: (202, {}, b""), **old)
    server = serve(app).http()
    for expected in (["server/discover", *HANDSHAKE], HANDSHAKE):
        app.requests.clear()
        async with ConnectionPool() as pool:
            listing = await pool.list_all(server)
        assert [method for method in app.methods() if method in expected] == expected
        health = ServerHealth(
            synced_at=datetime.now(UTC),
            protocol_version=listing.protocol_version,
            reported_name=listing.reported_name,
            reported_version=listing.reported_version,
        )
        server = replace(server, health=health)
    del app.scripts["server_discover"], app.scripts["initialize"]  # of today, and of today alone
    app.scripts["initialize"] = lambda request: (
        400,
        {},
        {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "what?"}},
    )
    async with ConnectionPool() as pool:
        assert (await pool.list_all(server)).protocol_version == "2026-07-28"


def test_what_was_asked_long_ago_is_asked_again_in_a_process_that_runs_on(ageing):
    now = datetime(2026, 11, 21, tzinfo=UTC)
    eras = Eras(lambda: now)
    identity = Identity("2025-06-18", "ageing", "1")
    eras.note(ageing.server, SHARED, identity, is_modern=False, asked=True)
    assert eras.begins_with_handshake(ageing.server, SHARED)
    now += timedelta(hours=12)
    eras.note(ageing.server, SHARED, identity, is_modern=False, asked=False)
    now += timedelta(hours=12)
    assert not eras.begins_with_handshake(ageing.server, SHARED)
    assert eras.begins_with_handshake(ageing.server, Profile(key="a", handshake=True))


async def test_a_server_that_is_replaced_behind_its_url_is_greeted_anew_and_called_once(
    serve, scripted
):
    def refuse(request, code, status):
        error = {"code": code, "message": "no"}
        return status, {}, {"jsonrpc": "2.0", "id": request["id"], "error": error}

    def answer(request, result):
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    greeting = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
    done = {"content": [], "resultType": "complete"}
    app = scripted(
        server_discover=lambda request: refuse(request, -32601, 404),
        initialize=lambda request: answer(
            request, {**greeting, "serverInfo": {"name": "it", "version": "1"}}
        ),
        notifications_initialized=lambda _: (202, {}, b""),
        GET=lambda _: (405, {}, b""),
        tools_call=lambda request: answer(request, done),
    )

    def of_2026(request):
        version = app.headers[-1].get("mcp-protocol-version")
        is_right = version == "2026-07-28"
        return answer(request, done) if is_right else refuse(request, -32022, 400)

    server = serve(app).http("it")
    async with ConnectionPool() as pool:
        await pool.call_tool(server, "echo", {}, timeout_s=10)
        del app.scripts["server_discover"]
        app.scripts |= {
            "initialize": lambda request: refuse(request, -32601, 404),
            "tools_call": of_2026,
        }
        before = len(app.requests)
        await pool.call_tool(server, "echo", {}, timeout_s=10)
    sent = [method for method in app.methods()[before:] if method not in ("GET", "DELETE")]
    assert [sent[0], sent[-1]] == ["tools/call", "tools/call"]
    assert "server/discover" in sent
    assert sent.count("tools/call") == 2  # the first was refused
