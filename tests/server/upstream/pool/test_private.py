"""Connections that belong to one client each: who has one, for how long, and how many there are."""

import sys
from pathlib import Path

import anyio
import psutil
import pytest

from toolcrib_registry.errors import UpstreamUnavailable
from toolcrib_registry.types import Server, ServerHealth, ServerName, ServerStatus, StdioTransport
from toolcrib_server.upstream.messages.interaction import SHARED, Interaction, Profile
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).parents[1] / "servers" / "asking.py"


def old(name="old"):
    transport = StdioTransport(sys.executable, (str(SERVER), "old"))
    return Server(name=ServerName(name), transport=transport)


def modern():
    return Server(
        name=ServerName("modern"), transport=StdioTransport(sys.executable, (str(SERVER),))
    )


def one(key, **more):
    return Profile(key=key, capabilities={"elicitation": {}}, **more)


async def who(pool, server, profile=SHARED):
    interaction = Interaction(profile=profile)
    result = await pool.call_tool(server, "who", {}, timeout_s=10, interaction=interaction)
    return result["structuredContent"]


async def until(condition):
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # processes end when they do
            await anyio.sleep(0.01)


def private(pool, name):
    return next(state.private for state in pool.states() if state.server == name)


async def test_each_key_has_a_process_of_its_own_on_a_handshake_server(asking):
    server = old()
    async with ConnectionPool() as pool:
        pids = [(await who(pool, server, p))["pid"] for p in (SHARED, one("a"), one("b"), one("a"))]
        assert len(set(pids)) == 3
        assert pids[1] == pids[3]
        (state,) = pool.states()
        assert (state.private, set(state.pids)) == (2, set(pids))
    assert not any(map(psutil.pid_exists, pids))


async def test_a_modern_server_has_one_connection_for_all():
    server = modern()
    async with ConnectionPool() as pool:
        seen = [await who(pool, server, p) for p in (one("a"), SHARED, one("b"))]
        assert len({each["pid"] for each in seen}) == 1
        assert [bool(each["capabilities"]) for each in seen] == [True, False, True]
        assert private(pool, "modern") == 0


async def test_the_shared_connection_is_not_opened_for_a_server_known_to_be_old():
    health = ServerHealth(status=ServerStatus.READY, protocol_version="2025-11-25")
    server = Server(name=ServerName("old"), transport=old().transport, health=health)
    async with ConnectionPool() as pool:
        await who(pool, server, one("a"))
        assert len(pool.states()[0].pids) == 1


async def test_a_server_that_is_newer_than_the_registry_knows_is_spoken_to_as_it_is():
    health = ServerHealth(status=ServerStatus.READY, protocol_version="2025-11-25")
    server = Server(name=ServerName("modern"), transport=modern().transport, health=health)
    async with ConnectionPool() as pool:
        assert (await who(pool, server, one("a")))["version"] == "2026-07-28"
        await who(pool, server, one("b"))
        await who(pool, server, one("c"))
        assert len(pool.states()[0].pids) == 2


async def test_many_at_once_of_one_client_share_one_opening():
    server = old()
    async with ConnectionPool() as pool:
        await who(pool, server)
        seen = []

        async def ask():
            seen.append((await who(pool, server, one("a")))["pid"])

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
        assert len(set(seen)) == 1
        assert pool.states()[0].opened == 2


async def test_closing_a_profile_closes_its_connections_and_no_others():
    servers = old("x"), old("y")
    async with ConnectionPool() as pool:
        kept = [(await who(pool, server, one("b")))["pid"] for server in servers]
        gone = [(await who(pool, server, one("a")))["pid"] for server in servers]
        await pool.aclose_profile("a")
        assert not any(map(psutil.pid_exists, gone))
        assert all(map(psutil.pid_exists, kept))
        assert [state.private for state in pool.states()] == [1, 1]
        await pool.aclose_profile("")
        assert [state.status for state in pool.states()] == ["open", "open"]


async def test_closing_a_server_closes_everybodys_connections():
    server = old()
    async with ConnectionPool() as pool:
        pids = [(await who(pool, server, p))["pid"] for p in (SHARED, one("a"), one("b"))]
        await pool.aclose_server(server.name)
        assert not any(map(psutil.pid_exists, pids))
        assert pool.states() == ()


async def test_an_idle_private_connection_is_closed_before_the_shared_one():
    server = old()
    async with ConnectionPool(idle_timeout_s=600, private_idle_timeout_s=0.2) as pool:
        await who(pool, server)
        pid = (await who(pool, server, one("a")))["pid"]
        await until(lambda: private(pool, "old") == 0)
        await until(lambda: not psutil.pid_exists(pid))
        assert pool.states()[0].status == "open"
        assert (await who(pool, server, one("a")))["pid"] != pid


async def test_a_private_connection_that_is_listened_on_is_not_idle():
    server = old()
    acknowledged = anyio.Event()

    async def hear(method, params):
        acknowledged.set()

    async with ConnectionPool(private_idle_timeout_s=0.1) as pool, anyio.create_task_group() as tg:

        async def listen():
            await pool.listen(server, {"toolsListChanged": True}, hear, profile=one("a"))

        tg.start_soon(listen)
        await acknowledged.wait()
        pid = (await who(pool, server, one("a")))["pid"]
        await who(pool, server, one("b"))
        await until(lambda: private(pool, "old") == 1)
        assert (await who(pool, server, one("a")))["pid"] == pid
        tg.cancel_scope.cancel()


async def test_more_clients_than_may_are_told_the_setting(asking, serve):
    first, second = (serve(asking.old_era()).http(name) for name in ("first", "second"))
    async with ConnectionPool(max_private=3, max_private_per_server=2) as pool:
        for key in ("a", "b"):
            await who(pool, first, one(key))
        with pytest.raises(UpstreamUnavailable, match=r"2 clients .*_PER_SERVER allows"):
            await who(pool, first, one("c"))
        await who(pool, second, one("a"))
        with pytest.raises(UpstreamUnavailable, match="TOOLCRIB_PRIVATE_CONNECTIONS allows"):
            await who(pool, second, one("b"))
        await who(pool, first, one("a"))
        await who(pool, second)
        await pool.aclose_profile("a")
        await who(pool, second, one("b"))


async def test_whoever_has_most_connections_keeps_nobody_out(asking, serve):
    server = serve(asking.old_era()).http()
    async with ConnectionPool(max_private_per_server=3) as pool:
        for key in ("a", "b", "c"):
            await who(pool, server, one(key, owner="ada"))
        assert await who(pool, server, one("d", owner="bob"))
        assert private(pool, server.name) == 3
        with pytest.raises(UpstreamUnavailable, match=r"3 clients .*_PER_SERVER allows"):
            await who(pool, server, one("e", owner="bob"))


async def test_a_client_whose_connection_was_lost_makes_room_for_another(asking, serve):
    running = serve(asking.old_era())
    server = running.http()
    async with ConnectionPool(max_private_per_server=1) as pool:
        await who(pool, server, one("a"))
        await anyio.to_thread.run_sync(running.stop)
        with pytest.raises(UpstreamUnavailable):
            await who(pool, server, one("a"))
        serve(asking.old_era(), running.port)
        assert (await who(pool, server, one("b")))["client"] == "toolcrib"


# --- repair ------------------------------------------------------------------------------------


async def test_a_lost_session_is_repaired_with_all_that_the_client_declared(asking, serve):
    running = serve(asking.old_era())
    server = running.http()
    profile = one("a", info={"name": "editor", "version": "1"}, log_level="error")
    async with ConnectionPool() as pool:
        await who(pool, server, profile)
        await anyio.to_thread.run_sync(running.stop)
        serve(asking.old_era(), running.port)
        seen = await who(pool, server, profile)
    assert seen["client"] == "editor"
    assert seen["capabilities"] == {"elicitation": {}}
    assert seen["levels"] == ["error"]


async def test_a_process_that_died_is_started_again_at_once_the_first_time():
    server = old()
    async with ConnectionPool() as pool:
        for profile in (SHARED, one("a")):
            interaction = Interaction(profile=profile)
            first = (await who(pool, server, profile))["pid"]
            with pytest.raises(UpstreamUnavailable, match="exit code 7"):
                await pool.call_tool(server, "die", {}, timeout_s=10, interaction=interaction)
            with anyio.fail_after(30):
                assert (await who(pool, server, profile))["pid"] != first


async def test_warming_opens_connections_that_stay(asking, serve):
    servers = [old(f"s{number}") for number in range(6)]
    broken = Server(name=ServerName("broken"), transport=StdioTransport("/no/such/command"))
    async with ConnectionPool(max_warm=1) as pool:
        pool.warm([broken, *servers])
        assert pool.states() == ()
        await until(lambda: sum(state.status == "open" for state in pool.states()) == 6)
        await pool.list_all(servers[0])
        pids = {state.server: state.pids for state in pool.states()}
        assert (await who(pool, servers[0]))["pid"] in pids[servers[0].name]
