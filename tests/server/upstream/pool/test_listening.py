"""Who listens is told of changes: in both eras, over every transport, through every loss."""

import json
import threading
from contextlib import asynccontextmanager

import anyio
import pytest

from toolcrib_registry.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable
from toolcrib_registry.types import Server, ServerName, StdioTransport
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.messages.interaction import SHARED, Interaction, Profile
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio

OLD = ["stdio", "http", "sse"]
MODERN = ["modern-stdio", "modern-http"]
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TOOLS = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
AT_ONCE = Attention(again_s=(0.01, 0.05))
"""Lets the pauses before listening again be short."""
ONE = Profile(key="one", capabilities={"elicitation": {}})


class Ear:
    """Listens in a task of its own until it is left."""

    def __init__(self, pool, server, wanted, profile=SHARED):
        self.heard = []
        self.ended = anyio.Event()
        self.error = None
        self._run = (pool, server, wanted, profile)
        self.scope = anyio.CancelScope()

    async def hear(self, method, params):
        self.heard.append((method, params))

    async def listen(self):
        pool, server, wanted, profile = self._run
        with self.scope:
            try:
                await pool.listen(server, wanted, self.hear, profile=profile)
            except UpstreamError as error:
                self.error = error
        self.ended.set()

    async def until(self, count):
        await until(lambda: len(self.heard) >= count)

    def methods(self):
        return [method for method, _ in self.heard]


async def until(condition):
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # of another task, thread or process
            await anyio.sleep(0.005)


@asynccontextmanager
async def ears(pool, server, *filters, profile=SHARED):
    """Several who listen, each of whom has been told what was agreed."""
    found = [Ear(pool, server, wanted, profile) for wanted in filters]
    async with anyio.create_task_group() as tasks:
        for ear in found:
            tasks.start_soon(ear.listen)
        for ear in found:
            await ear.until(1)
        yield found
        tasks.cancel_scope.cancel()


async def call(pool, server, name, profile=SHARED, **arguments):
    interaction = Interaction(profile=profile)
    result = await pool.call_tool(server, name, arguments, timeout_s=10, interaction=interaction)
    return result["structuredContent"]


async def subscribed(pool, server, profile=SHARED):
    return (await call(pool, server, "who", profile))["subscribed"]


@pytest.mark.parametrize("kind", [*OLD, *MODERN])
async def test_changes_are_told_to_each_who_wants_to_know(describe, kind):
    server, uri = describe(kind), "memo://today"
    async with (
        ConnectionPool() as pool,
        ears(
            pool,
            server,
            {"toolsListChanged": True},
            {"resourceSubscriptions": [uri]},
            {"toolsListChanged": True, "resourceSubscriptions": [uri, "memo://other"]},
        ) as (tools, memo, both),
    ):
        assert tools.heard == [(ACKNOWLEDGED, {"notifications": {"toolsListChanged": True}})]
        agreed = both.heard[0][1]["notifications"]
        assert agreed["toolsListChanged"] is True
        assert set(agreed["resourceSubscriptions"]) == {uri, "memo://other"}
        await call(pool, server, "tell")
        await call(pool, server, "tell", uri=uri)
        await both.until(3)
        assert both.heard[1:] == [(TOOLS, {}), (UPDATED, {"uri": uri})]
        await tools.until(2)
        await memo.until(2)
        await call(pool, server, "who")
        assert tools.heard[1:] == [(TOOLS, {})]
        assert memo.heard[1:] == [(UPDATED, {"uri": uri})]
        assert pool.states()[0].opened == 1


async def test_nothing_is_agreed_before_it_can_be_heard(serve, asking):
    app, may_stream = asking.old_era(), threading.Event()

    async def slow_to_stream(scope, receive, send):
        while scope.get("method") == "GET" and not may_stream.is_set():  # noqa: ASYNC110  # a thread's
            await anyio.sleep(0.005)
        await app(scope, receive, send)

    server, attention = serve(slow_to_stream).http(), Attention(agree_s=60)
    pool = ConnectionPool(attention=attention)
    ear = Ear(pool, server, {"toolsListChanged": True})
    async with pool, anyio.create_task_group() as tasks:
        tasks.start_soon(ear.listen)
        await call(pool, server, "who")
        await call(pool, server, "who")
        assert ear.heard == []
        may_stream.set()
        await ear.until(1)
        await call(pool, server, "tell")
        await ear.until(2)
        tasks.cancel_scope.cancel()
    assert ear.methods() == [ACKNOWLEDGED, TOOLS]


@pytest.mark.parametrize("kind", OLD)
async def test_a_resource_is_subscribed_to_once_and_until_the_last_has_left(describe, kind):
    server, wanted = describe(kind), {"resourceSubscriptions": ["memo://a"]}
    async with ConnectionPool() as pool, ears(pool, server, wanted, wanted, wanted) as found:
        assert await subscribed(pool, server) == ["+memo://a"]
        for ear in found[:2]:
            ear.scope.cancel()
            await ear.ended.wait()
        assert await subscribed(pool, server) == ["+memo://a"]
        found[2].scope.cancel()
        await found[2].ended.wait()
        assert await subscribed(pool, server) == ["+memo://a", "-memo://a"]


async def test_a_part_of_what_was_subscribed_to_is_told_too(describe):
    server = describe("http")
    async with (
        ConnectionPool() as pool,
        ears(
            pool, server, {"resourceSubscriptions": ["memo://a"]}, {"resourceSubscriptions": ["b:"]}
        ) as (memo, other),
    ):
        await call(pool, server, "tell", uri="memo://a/page/1")
        await memo.until(2)
        assert memo.heard[1] == (UPDATED, {"uri": "memo://a/page/1"})
        assert other.methods() == [ACKNOWLEDGED]


async def test_what_a_server_refuses_is_not_agreed_and_nothing_but_refusals_is_its_error(describe):
    server = describe("http")
    locked = {"resourceSubscriptions": ["memo://locked"]}
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError) as caught:
            await pool.listen(server, locked, Ear(pool, server, {}).hear)
        assert caught.value.rpc_message == "No such memo"
        async with ears(pool, server, {**locked, "toolsListChanged": True}) as (ear,):
            assert ear.heard[0][1] == {"notifications": {"toolsListChanged": True}}


@pytest.mark.parametrize("kind", ["stdio", "http", "modern-http"])
async def test_who_has_a_connection_of_its_own_listens_on_that(describe, kind):
    server, wanted = describe(kind), {"toolsListChanged": True}
    async with (
        ConnectionPool() as pool,
        ears(pool, server, wanted, profile=ONE) as (own,),
        ears(pool, server, wanted) as (shared,),
    ):
        await call(pool, server, "tell", ONE)
        await own.until(2)
        if kind == "modern-http":
            await shared.until(2)
        else:
            await call(pool, server, "who")
            assert shared.methods() == [ACKNOWLEDGED]


async def test_a_slow_listener_holds_up_no_other(describe):
    server, wanted = describe("stdio"), {"toolsListChanged": True}
    gate = anyio.Event()

    class Slow(Ear):
        async def hear(self, method, params):
            await super().hear(method, params)
            await gate.wait()

    async with ConnectionPool() as pool, ears(pool, server, wanted) as (quick,):
        slow = Slow(pool, server, wanted)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.listen)
            await slow.until(1)
            for _ in range(20):
                await call(pool, server, "tell")
            await quick.until(21)
            assert len(slow.heard) == 1
            gate.set()
            await slow.until(21)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["stdio", "modern-stdio"])
async def test_a_listener_outlives_a_process_that_dies(describe, kind):
    server, uri = describe(kind), "memo://today"
    wanted = {"toolsListChanged": True, "resourceSubscriptions": [uri]}
    async with ConnectionPool(attention=AT_ONCE) as pool, ears(pool, server, wanted) as (ear,):
        with pytest.raises(UpstreamUnavailable):
            await call(pool, server, "die")
        await ear.until(3)
        assert ear.heard[1:] == [(TOOLS, {}), (UPDATED, {"uri": uri})]
        if kind == "stdio":
            assert await subscribed(pool, server) == [f"+{uri}"]
        await call(pool, server, "tell", uri=uri)
        await ear.until(4)
        assert ear.methods().count(ACKNOWLEDGED) == 1


@pytest.mark.parametrize("kind", ["http", "modern-http"])
async def test_a_listener_outlives_a_server_that_is_started_anew(asking, serve, kind):
    make = asking.both_eras if kind == "modern-http" else asking.old_era
    running = serve(make())
    server, wanted = running.http(kind), {"toolsListChanged": True}
    async with ConnectionPool(attention=AT_ONCE) as pool, ears(pool, server, wanted) as (ear,):
        await anyio.to_thread.run_sync(running.stop)
        serve(make(), running.port)
        await call(pool, server, "who")
        await ear.until(2)
        assert ear.heard[1] == (TOOLS, {})
        await call(pool, server, "tell")
        await ear.until(3)


@pytest.mark.parametrize("kind", ["stdio", "http", "modern-stdio", "modern-http"])
async def test_a_listener_is_told_when_the_server_is_closed_on_purpose(describe, kind):
    server, wanted = describe(kind), {"toolsListChanged": True}
    async with ConnectionPool(attention=AT_ONCE) as pool, ears(pool, server, wanted) as (ear,):
        await pool.aclose_server(server.name)
        with anyio.fail_after(30):
            await ear.ended.wait()
        assert isinstance(ear.error, UpstreamUnavailable)
        assert pool.states() == ()


async def test_a_listener_ends_when_the_server_ends_it(serve, scripted):
    def say(message):
        return f"data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode()

    def listen(request):
        meta = {"io.modelcontextprotocol/subscriptionId": request["id"], "own": 1}
        agreed = {"notifications": request["params"]["notifications"], "_meta": meta}

        async def stream():
            yield say({"method": ACKNOWLEDGED, "params": agreed})
            yield say({"method": TOOLS, "params": {"_meta": {**meta}}})
            yield say({"id": request["id"], "result": {"resultType": "complete"}})

        return 200, {"content-type": "text/event-stream"}, stream()

    server = serve(scripted(subscriptions_listen=listen)).http()
    wanted = {"toolsListChanged": True, "own": {"a": 1}}
    async with ConnectionPool() as pool:
        ear = Ear(pool, server, wanted)
        with anyio.fail_after(30):
            await pool.listen(server, wanted, ear.hear)
    assert ear.heard == [
        (ACKNOWLEDGED, {"notifications": wanted, "_meta": {"own": 1}}),
        (TOOLS, {"_meta": {"own": 1}}),
    ]


async def test_listeners_and_sync_do_not_take_each_others_streams(describe):
    told = []
    server = describe("modern-stdio")
    async with (
        ConnectionPool(on_list_changed=told.append) as pool,
        ears(pool, server, {"toolsListChanged": True}) as (ear,),
    ):
        await until(lambda: pool.states()[0].hears == ("resources", "tools"))
        told.clear()
        await call(pool, server, "tell")
        await ear.until(2)
        await until(lambda: told)
        assert told == [server.name]
        ear.scope.cancel()
        await ear.ended.wait()
        await call(pool, server, "tell")
        await until(lambda: len(told) == 2)


async def test_a_server_that_cannot_be_reached_is_told_at_once(describe):
    server = Server(name=ServerName("gone"), transport=StdioTransport("/no/such/command"))
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamUnavailable, match="not found"):
            await pool.listen(server, {"toolsListChanged": True}, Ear(pool, server, {}).hear)
