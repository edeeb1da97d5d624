"""What servers ask and say on the way to an answer, in both eras, over every transport."""

import json
import time
from typing import Any

import anyio
import pytest

from toolcrib_registry.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from toolcrib_server.upstream.messages.hearing import Attention
from toolcrib_server.upstream.messages.interaction import Interaction, Profile, Refused
from toolcrib_server.upstream.pool.pool import ConnectionPool

pytestmark = pytest.mark.anyio

OLD = ["stdio", "http", "sse"]
MODERN = ["modern-stdio", "modern-http"]


class Client:
    """Hears everything, and answers what it is asked by `answers`, a dict or an exception."""

    def __init__(self, answer=None, **profile: Any):
        self.answer = answer or {"action": "accept", "content": {"name": "Ada"}}
        self.asked = []
        self.heard = []
        given: dict[str, Any] = {"key": "one", "capabilities": {"elicitation": {}}, **profile}
        self.profile = Profile(**given)

    async def on_ask(self, method, params):
        self.asked.append((method, params))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def on_notice(self, method, params):
        self.heard.append((method, params))

    def steps(self):
        return [p["progress"] for method, p in self.heard if method == "notifications/progress"]

    def logged(self):
        return [p["data"]["number"] for m, p in self.heard if m == "notifications/message"]

    @property
    def asks(self):
        return Interaction(profile=self.profile, on_ask=self.on_ask)

    @property
    def hears(self):
        return Interaction(profile=self.profile, on_notice=self.on_notice)


async def call(pool, server, name, interaction, timeout_s: float = 10, **arguments):
    result = await pool.call_tool(
        server, name, arguments, timeout_s=timeout_s, interaction=interaction
    )
    return result["structuredContent"]


async def until(condition):
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # of another thread's or process's server
            await anyio.sleep(0.005)


async def until_streamed(pool, server, interaction, memory):
    """Wait until the server can tell this client what belongs to no request.

    Over HTTP each connection has a stream for that, and so has the one that all clients share.
    """
    session = (await call(pool, server, "who", interaction))["session"]
    await until(lambda: session is None or session in memory.streams)


# --- questions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OLD)
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("elicitation/create", {"action": "accept", "content": {"name": "Ada"}}),
        (
            "sampling/createMessage",
            {"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hello"}},
        ),
        ("roots/list", {"roots": [{"uri": "file:///home", "name": "home"}]}),
    ],
)
async def test_a_question_is_put_and_its_answer_sent_back(describe, kind, method, answer):
    server, client = describe(kind), Client(answer)
    async with ConnectionPool() as pool:
        found = await call(pool, server, "ask", client.asks, method=method)
    assert {key: found.get(key) for key in answer} == answer
    assert [asked for asked, _ in client.asked] == [method]


@pytest.mark.parametrize("kind", OLD)
async def test_a_refusal_reaches_the_server_as_it_is(describe, kind):
    client = Client(Refused(-1, "Not now", {"why": "busy"}))
    async with ConnectionPool() as pool:
        found = await call(pool, describe(kind), "ask", client.asks)
    assert found == {"refused": -1, "message": "Not now"}


async def test_a_client_that_breaks_is_an_internal_error_for_the_server(describe):
    client = Client(ValueError("oops"))
    async with ConnectionPool() as pool:
        found = await call(pool, describe("stdio"), "ask", client.asks)
    assert found["refused"] == -32603
    assert "oops" not in found["message"]


@pytest.mark.parametrize("kind", OLD)
async def test_who_can_be_asked_nothing_refuses_as_an_unknown_method(describe, kind):
    async with ConnectionPool() as pool:
        found = await call(pool, describe(kind), "ask", Client().hears)
    assert found["refused"] == -32601


@pytest.mark.parametrize("kind", OLD)
async def test_the_deadline_rests_while_somebody_is_asked(describe, kind):
    class Slow(Client):
        async def on_ask(self, method, params):
            await anyio.sleep(2.5)
            return await super().on_ask(method, params)

    server, client = describe(kind), Slow()
    async with ConnectionPool() as pool:
        await call(pool, server, "who", client.asks)
        found = await call(pool, server, "ask", client.asks, timeout_s=2)
        assert found["action"] == "accept"
        with pytest.raises(UpstreamTimeout):
            await call(pool, server, "wait", client.asks, timeout_s=0.3)


@pytest.mark.parametrize("kind", OLD)
async def test_requests_that_may_be_asked_are_each_asked_their_own(describe, kind):
    """Where a question does not say to which request it belongs, they take turns."""
    server = describe(kind)
    found = {}
    async with ConnectionPool() as pool:

        async def ask(number):
            client = Client({"action": "accept", "content": {"name": f"n{number}"}})
            found[number] = await call(pool, server, "ask", client.asks)

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(ask, number)
    assert {n: each["content"]["name"] for n, each in found.items()} == {
        n: f"n{n}" for n in range(8)
    }


async def test_nobody_waits_for_ever_behind_a_question_to_somebody_else(describe):
    release, asked = anyio.Event(), anyio.Event()

    class Slow(Client):
        async def on_ask(self, method, params):
            asked.set()
            await release.wait()
            return await super().on_ask(method, params)

    slow, quick = Slow(), Client()
    async with ConnectionPool(attention=Attention(turn_s=0.3)) as pool:
        server = describe("stdio")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, pool, server, "ask", slow.asks)
            await asked.wait()
            with pytest.raises(UpstreamUnavailable, match="answer that first, or call again"):
                await call(pool, server, "ask", quick.asks)
            release.set()
        assert (await call(pool, server, "ask", quick.asks))["content"]["name"] == "Ada"


@pytest.mark.parametrize("kind", ["stdio", "sse"])
async def test_requests_of_one_who_can_be_asked_anyway_take_no_turns(describe, kind):
    """If several may be meant it is asked as outside of all, and the deadlines of all rest."""

    class Slow(Client):
        async def on_ask(self, method, params):
            await anyio.sleep(2.5)
            return await super().on_ask(method, params)

    server, outside, inside = describe(kind), Slow(), Client()
    profile = Profile(key="one", capabilities={"elicitation": {}}, on_ask=outside.on_ask)
    interaction = Interaction(profile=profile, on_ask=inside.on_ask)
    async with ConnectionPool() as pool, anyio.create_task_group() as tasks:
        await call(pool, server, "who", interaction)
        tasks.start_soon(call, pool, server, "wait", interaction)
        await until(lambda: any(state.in_flight for state in pool.states()))
        with anyio.fail_after(30):
            found = await call(pool, server, "ask", interaction, timeout_s=2)
        assert (found["action"], len(outside.asked), inside.asked) == ("accept", 1, [])
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", OLD)
async def test_a_cancelled_request_takes_its_question_with_it(describe, kind):
    ended = []

    class Stuck(Client):
        async def on_ask(self, method, params):
            self.asked.append(method)
            try:
                await anyio.sleep(3600)
            finally:
                ended.append(method)

    server, client = describe(kind), Stuck()
    async with ConnectionPool() as pool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, pool, server, "ask", client.asks)
            await until(lambda: client.asked)
            tasks.cancel_scope.cancel()
        assert ended == ["elicitation/create"]
        assert (await call(pool, server, "ask", Client().asks))["action"] == "accept"


@pytest.mark.parametrize("kind", OLD)
async def test_a_question_that_the_server_withdraws_is_not_answered_any_more(describe, kind):
    ended = anyio.Event()

    class Stuck(Client):
        async def on_ask(self, method, params):
            try:
                await anyio.sleep(3600)
            finally:
                ended.set()

    async with ConnectionPool() as pool:
        found = await call(pool, describe(kind), "ask", Stuck().asks, patience_s=0.8)
        assert found == {"gave": "up"}
        with anyio.fail_after(30):
            await ended.wait()


@pytest.mark.parametrize("kind", OLD)
async def test_a_question_outside_of_every_request_goes_to_the_client_of_the_connection(
    describe, asking, kind
):
    client = Client()
    profile = Profile(key="one", capabilities={"elicitation": {}}, on_ask=client.on_ask)
    memory, interaction = asking.Memory(), Interaction(profile=profile)
    server = describe(kind, memory)
    async with ConnectionPool() as pool:
        await until_streamed(pool, server, interaction, memory)
        assert await call(pool, server, "ask", interaction, after=True) == {"asked": "later"}
        await until(lambda: client.asked)
        notes = []
        with anyio.fail_after(30):
            while not notes:
                notes = (await call(pool, server, "who", interaction))["notes"]
    assert notes == [{"action": "accept", "content": {"name": "Ada"}}]


async def test_a_question_by_the_wrong_stream_finds_the_only_request_that_it_can_be_about(
    describe, asking
):
    memory, client = asking.Memory(), Client()
    server = describe("http", memory)
    async with ConnectionPool() as pool:
        await until_streamed(pool, server, client.asks, memory)
        found = await call(pool, server, "ask", client.asks, related=False)
    assert found["content"] == {"name": "Ada"}


async def test_a_server_of_2026_07_28_returns_its_questions_and_is_given_the_answers(describe):
    server, client = describe("modern-http"), Client()
    async with ConnectionPool() as pool:
        first = await pool.call_tool(server, "need", {}, timeout_s=10, interaction=client.asks)
        assert first["resultType"] == "input_required"
        (question,) = first["inputRequests"].values()
        assert question["method"] == "elicitation/create"
        extra = {
            "inputResponses": {"name": {"action": "accept", "content": {"name": "Ada"}}},
            "requestState": first["requestState"],
            "name": "another",
        }
        second = await pool.call_tool(
            server, "need", {}, timeout_s=10, interaction=client.asks, extra=extra
        )
    assert second["structuredContent"]["state"] == "sealed"
    assert second["structuredContent"]["given"]["name"]["content"] == {"name": "Ada"}


# --- notices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*OLD, *MODERN])
async def test_progress_and_log_messages_are_heard_in_order_before_the_result(describe, kind):
    client = Client(log_level="info")
    async with ConnectionPool() as pool:
        assert await call(pool, describe(kind), "say", client.hears, times=5) == {"said": 5}
        heard = list(client.heard)
    assert client.steps() == [1, 2, 3, 4, 5]
    assert client.logged() == [0, 1, 2, 3, 4]
    first = heard[0][1]
    assert first == {"progress": 1, "total": 5, "message": "step 0"}


@pytest.mark.parametrize("kind", [*OLD, *MODERN])
async def test_notices_of_many_requests_at_once_are_not_crossed(describe, kind):
    server = describe(kind)
    clients = {number: Client(key=f"k{number % 2}") for number in range(1, 7)}
    async with ConnectionPool() as pool:

        async def say(number):
            assert await call(pool, server, "say", clients[number].hears, times=number)

        async with anyio.create_task_group() as tasks:
            for number in clients:
                tasks.start_soon(say, number)
    assert {n: client.steps() for n, client in clients.items()} == {
        n: list(range(1, n + 1)) for n in clients
    }


@pytest.mark.parametrize("kind", ["stdio", "http", "modern-http"])
async def test_a_slow_hearer_holds_up_nobody_else(describe, kind):
    class Slow(Client):
        async def on_notice(self, method, params):
            await anyio.sleep(3600)

    server, slow, other = describe(kind), Slow(), Client(key="one")
    async with ConnectionPool() as pool:
        await call(pool, server, "who", slow.hears)
        async with anyio.create_task_group() as tasks:
            started = time.monotonic()
            tasks.start_soon(call, pool, server, "say", slow.hears, 10)
            for _ in range(5):
                await call(pool, server, "say", other.hears, times=20)
            assert time.monotonic() - started < 4
            tasks.cancel_scope.cancel()
    assert len(other.steps()) == 100


async def test_what_waits_for_a_slow_hearer_is_bounded_and_the_newest_is_kept(describe):
    gate = anyio.Event()

    class Slow(Client):
        async def on_notice(self, method, params):
            await gate.wait()
            await super().on_notice(method, params)

    server, client = describe("stdio"), Slow()
    quiet = Interaction(profile=client.profile)
    async with ConnectionPool() as pool, anyio.create_task_group() as tasks:
        await call(pool, server, "who", quiet)
        tasks.start_soon(
            lambda: call(pool, server, "say", client.hears, 30, times=80, padding=100_000)
        )
        with anyio.fail_after(30):
            while "said" not in (await call(pool, server, "who", quiet))["notes"]:
                pass
        gate.set()
    numbers = client.logged()
    assert numbers[-1] == 79
    assert len(numbers) < 60
    assert numbers[2:] == list(range(numbers[2], 80))


@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_a_message_about_no_request_goes_to_the_client_of_the_connection(
    describe, asking, kind
):
    client, memory = Client(), asking.Memory()
    server = describe(kind, memory)
    profile = Profile(key="one", on_notice=client.on_notice)
    async with ConnectionPool() as pool:
        interaction = Interaction(profile=profile)
        await until_streamed(pool, server, interaction, memory)
        await call(pool, server, "say", interaction, related=False)
        await until(lambda: client.logged() == [0])
    assert client.steps() == []


async def test_a_message_that_may_be_another_clients_is_nobodys(describe):
    """On the connection that strangers share nothing says whose a message is."""
    server, client = describe("stdio"), Client()
    shared = Interaction(on_notice=client.on_notice)
    async with ConnectionPool() as pool, anyio.create_task_group() as tasks:
        await call(pool, server, "say", shared)
        assert client.logged() == [0]
        tasks.start_soon(call, pool, server, "wait", Interaction())
        await until(lambda: pool.states()[0].in_flight)
        await call(pool, server, "say", shared)
        tasks.cancel_scope.cancel()
    assert client.logged() == [0]
    assert client.steps() == [1, 1]


# --- what a server is told ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*OLD, *MODERN])
async def test_a_server_knows_what_the_client_declares(describe, kind):
    client = Client(
        capabilities={"elicitation": {}, "sampling": {}},
        info={"name": "editor", "version": "9"},
        log_level="warning",
    )
    async with ConnectionPool() as pool:
        seen = await call(pool, describe(kind), "who", client.asks)
    assert set(seen["capabilities"]) == {"elicitation", "sampling"}
    assert seen["client"] == "editor"
    assert (seen["level"] or seen["levels"][-1]) == "warning"


@pytest.mark.parametrize("kind", [*OLD, *MODERN])
async def test_whoever_declares_nothing_is_toolcrib_to_the_server(describe, kind):
    async with ConnectionPool() as pool:
        seen = await call(pool, describe(kind), "who", Interaction())
    assert (seen["capabilities"], seen["client"], seen["levels"]) == ({}, "toolcrib", [])


async def test_another_log_level_is_told_on_the_connection_that_is_open(describe):
    server = describe("http")
    async with ConnectionPool() as pool:
        for level in ("info", "info", "error"):
            seen = await call(pool, server, "who", Client(log_level=level).asks)
        assert seen["levels"] == ["info", "error"]
        assert pool.states()[0].private == 1


@pytest.mark.parametrize("kind", ["stdio", "modern-http"])
async def test_the_servers_own_error_is_told_as_it_was(describe, kind):
    async with ConnectionPool() as pool:
        with pytest.raises(UpstreamProtocolError) as caught:
            await call(pool, describe(kind), "fail", Interaction())
    error = caught.value
    assert (error.rpc_code, error.rpc_message) == (-32042, "Open the page first")
    assert error.rpc_data == {"page": "https://example.com"}


async def test_meta_of_the_caller_is_passed_on_without_what_belongs_to_its_hop(describe):
    meta = {"own/key": 1, "progressToken": 99, "io.modelcontextprotocol/logLevel": "debug"}
    async with ConnectionPool() as pool:
        for kind in ("stdio", "modern-http"):
            result = await pool.call_tool(describe(kind), "who", {}, timeout_s=10, meta=meta)
            seen = result["structuredContent"]
            assert seen["meta"] == {"own/key": 1}
            assert seen["level"] is None


async def test_unknown_methods_and_parameters_pass_untouched(serve, scripted):
    def answer(request):
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": {"own": [1, None]}}

    app = scripted(tasks_get=answer, x_own=answer)
    server = serve(app).http()
    async with ConnectionPool() as pool:
        found = await pool.request(
            server, "tasks/get", {"taskId": "t", "own": {"a": None}}, timeout_s=5
        )
        assert found == {"own": [1, None]}
        await pool.request(server, "x/own", {"_meta": {"own/key": 1}}, timeout_s=5)
    params = app.requests[-2]["params"]
    assert {key: params[key] for key in ("taskId", "own")} == {"taskId": "t", "own": {"a": None}}
    assert app.requests[-1]["params"]["_meta"]["own/key"] == 1


async def test_a_handshake_server_is_notified_and_a_modern_one_is_not(describe):
    client = Client()
    async with ConnectionPool() as pool:
        for kind in ("http", "modern-http"):
            server, changed = describe(kind), "notifications/roots/list_changed"
            await pool.notify(server, changed, {}, profile=client.profile)
            assert [state.server for state in pool.states() if state.server == kind] == []
            await call(pool, server, "who", client.asks)
            await pool.notify(server, changed, {}, profile=client.profile)
            seen = await call(pool, server, "who", client.asks)
            assert seen["notes"] == (["roots changed"] if kind == "http" else [])


@pytest.mark.parametrize("kind", ["stdio", "http", "modern-http"])
async def test_a_greeting_holds_the_whole_answer(describe, kind):
    async with ConnectionPool() as pool:
        greeting = await pool.greet(describe(kind), profile=Client().profile)
    assert greeting.is_modern == (kind == "modern-http")
    assert greeting.raw["capabilities"]["logging"] == {}
    assert ("supportedVersions" in greeting.raw) == greeting.is_modern
    assert greeting.name == "asking"


async def test_what_a_server_repeats_of_its_credentials_is_masked_in_the_greeting(serve, scripted):
    def discover(request):
        token = request["params"] and app.headers[-1]["x-token"]
        result = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}, "experimental": {token: {}}},
            "instructions": f"Use {token}.",
            "own": token,
        }
        return 200, {}, {"jsonrpc": "2.0", "id": request["id"], "result": result}

    app = scripted(server_discover=discover)
    server = serve(app).http(**{"x-token": "very-secret-token"})
    async with ConnectionPool() as pool:
        greeting = await pool.greet(server)
    assert "very-secret-token" not in json.dumps([greeting.raw, greeting.capabilities])
    assert "very-secret-token" not in (greeting.instructions or "")
    assert greeting.raw["own"] == "•••"
