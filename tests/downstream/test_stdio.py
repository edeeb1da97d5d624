"""One pipe, either era: every answer and every refusal, by raw lines."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from toolcrib_server.downstream.stdio import serve_stdio
from toolcrib_server.downstream.testing import FORM, Workshop

pytestmark = pytest.mark.anyio

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Pipe:
    """The client's end: it writes lines and reads them."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.ending = anyio.Event()
        self.served = anyio.Event()
        self.is_read = True
        self._in, self._inlet = anyio.create_memory_object_stream[bytes](1000)
        self._outlet, self._out = anyio.create_memory_object_stream[bytes](1000)

    # --- the server's end ----------------------------------------------------------------------

    async def receive(self) -> bytes:
        try:
            return await self._inlet.receive()
        except anyio.EndOfStream:
            return b""

    async def send(self, data: bytes) -> None:
        if not self.is_read:
            raise BrokenPipeError
        assert data.endswith(b"\n")
        assert data.count(b"\n") == 1
        await self._outlet.send(data)

    def has_reader(self) -> bool:
        return self.is_read

    # --- the client's end ----------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        await self._in.send(data)

    async def tell(self, *messages: Any) -> None:
        for message in messages:
            whole = {"jsonrpc": "2.0", **message} if isinstance(message, dict) else message
            await self.write(json.dumps(whole).encode() + b"\n")

    async def ask(
        self, method: str, params: Any = None, *, call_id: Any = 1, meta: Any = None
    ) -> None:
        """Send a request of 2026-07-28."""
        whole = {**(params or {}), "_meta": {**META, **(meta or {})}}
        await self.tell({"id": call_id, "method": method, "params": whole})

    async def read(self, *, timeout_s: float = 10) -> Any:
        with anyio.fail_after(timeout_s):
            return json.loads(await self._out.receive())

    async def shake(self, version: str = "2025-11-25", **capabilities: Any) -> Any:
        """Begin a conversation of the handshake era; return what was answered."""
        params = {
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": {"name": "old", "version": "1"},
        }
        await self.tell({"id": "hello", "method": "initialize", "params": params})
        answered = await self.read()
        await self.tell({"method": "notifications/initialized"})
        return answered["result"]

    async def close(self) -> None:
        await self._in.aclose()

    async def rest(self) -> list[Any]:
        """Read what comes until it is served."""
        with anyio.fail_after(30):
            await self.served.wait()
        found = []
        while self._out.statistics().current_buffer_used:
            found.append(await self.read())
        return found

    def shut(self) -> None:
        for end in (self._in, self._inlet, self._outlet, self._out):
            end.close()


@asynccontextmanager
async def opened(**limits: Any) -> AsyncGenerator[Pipe]:
    pipe = Pipe(Workshop())

    async def serve() -> None:
        await serve_stdio(pipe.shop, pipe, pipe, ending=pipe.ending, **limits)
        pipe.served.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield pipe
            pipe.ending.set()
            with anyio.fail_after(30):
                await pipe.served.wait()
    finally:
        pipe.shut()


@pytest.fixture
async def pipe() -> AsyncGenerator[Pipe]:
    async with opened() as pipe:
        yield pipe


def error_of(message: Any, code: int, call_id: Any = None) -> Any:
    assert message["error"]["code"] == code, message
    assert message["id"] == call_id
    return message["error"]["message"]


# --- 2026-07-28 ----------------------------------------------------------------------------------


async def test_a_request_brings_its_envelope_and_is_answered_as_it_came(pipe):
    arguments = {"text": "ünï\n", "big": 2**70, "float": 0.1, "null": None}
    meta = {"traceparent": "00-1", "io.modelcontextprotocol/logLevel": "error"}
    await pipe.ask(
        "tools/call", {"name": "echo", "arguments": arguments, "odd": 1}, call_id="a", meta=meta
    )
    answered = await pipe.read()
    assert answered["id"] == "a"
    assert answered["result"]["structuredContent"] == arguments
    assert answered["result"]["x-kept"] == [1, None]
    assert answered["result"]["resultType"] == "complete"
    request = pipe.shop.requests[-1]
    assert request.params["_meta"] == {"traceparent": "00-1"}
    assert request.params["odd"] == 1
    assert (request.client.principal, request.client.version) == ("local", MODERN)
    assert (request.client.log_level, request.client.session) == ("error", None)
    assert request.ask is None


async def test_discovery_names_the_versions(pipe):
    await pipe.ask("server/discover")
    result = (await pipe.read())["result"]
    assert result["supportedVersions"] == [MODERN]
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "workshop"


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({"io.modelcontextprotocol/protocolVersion": "2027-01-01"}, -32022),
        ({"io.modelcontextprotocol/protocolVersion": "2025-11-25"}, -32022),
        ({"io.modelcontextprotocol/protocolVersion": 5}, -32602),
        ({"io.modelcontextprotocol/clientCapabilities": []}, -32602),
        ({"io.modelcontextprotocol/logLevel": "loud"}, -32602),
        ({"progressToken": [1]}, -32602),
    ],
)
async def test_an_unfit_envelope_is_refused(pipe, meta, code):
    await pipe.ask("tools/list", meta=meta)
    error_of(await pipe.read(), code, 1)
    assert not pipe.shop.requests


@pytest.mark.parametrize("method", ["ping", "logging/setLevel", "resources/subscribe"])
async def test_what_ended_with_the_handshake_is_unknown_since(pipe, method):
    await pipe.ask(method, {"uri": "tool://hammer", "level": "info"})
    error_of(await pipe.read(), -32601, 1)


async def test_progress_and_messages_are_told_as_they_were_asked_for(pipe):
    level = {"io.modelcontextprotocol/logLevel": "warning"}
    await pipe.ask("tools/call", {"name": "count"}, meta={"progressToken": "t"})
    told = [await pipe.read() for _ in range(4)]
    assert [each["params"] for each in told[:3]] == [
        {"progress": step, "total": 3, "progressToken": "t"} for step in (1, 2, 3)
    ]
    await pipe.ask("tools/call", {"name": "count"})
    assert "unheard" in json.dumps(await pipe.read())
    await pipe.ask("tools/call", {"name": "log"}, meta=level)
    told = [await pipe.read() for _ in range(3)]
    assert [each["params"]["level"] for each in told[:2]] == ["warning", "emergency"]
    await pipe.ask("tools/call", {"name": "log"})
    assert "result" in await pipe.read()


async def test_requests_run_at_the_same_time_and_are_answered_as_they_are_ready(pipe):
    await pipe.ask("tools/call", {"name": "wait"}, call_id=1)
    for number in range(2, 60):
        await pipe.ask(
            "tools/call", {"name": "echo", "arguments": {"text": str(number)}}, call_id=number
        )
    answered = [await pipe.read() for _ in range(2, 60)]
    assert {each["id"]: each["result"]["content"][0]["text"] for each in answered} == {
        number: str(number) for number in range(2, 60)
    }
    pipe.shop.release.set()
    assert (await pipe.read())["id"] == 1


async def test_a_cancelled_request_is_stopped_and_never_answered(pipe):
    await pipe.ask("tools/call", {"name": "wait"}, call_id="w")
    await pipe.shop.running.wait()
    await pipe.tell(
        {"method": "notifications/cancelled", "params": {"requestId": True}},
        {"method": "notifications/cancelled", "params": {"requestId": "unknown"}},
        {"method": "notifications/cancelled"},
        {"method": "notifications/cancelled", "params": {"requestId": "w", "reason": "enough"}},
    )
    await pipe.shop.wait(lambda: pipe.shop.cancelled)
    await pipe.ask("tools/list", call_id="after")
    assert (await pipe.read())["id"] == "after"
    await pipe.ask("tools/call", {"name": "echo"}, call_id="w")  # the id is free again
    assert (await pipe.read())["id"] == "w"


async def test_what_the_client_can_be_asked_comes_as_input_required(pipe):
    able = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
    await pipe.ask("tools/call", {"name": "ask"}, meta=able)
    asked = (await pipe.read())["result"]
    assert asked["resultType"] == "input_required"
    again = {
        "name": "ask",
        "requestState": asked["requestState"],
        "inputResponses": {"who": {"action": "accept"}},
    }
    await pipe.ask("tools/call", again, call_id=2, meta=able)
    assert "accept" in (await pipe.read())["result"]["content"][0]["text"]
    await pipe.ask("tools/call", {"name": "ask"}, call_id=3)
    error_of(await pipe.read(), -32021, 3)


async def test_several_subscriptions_are_told_apart_by_their_ids(pipe):
    await pipe.ask("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    uris = {"resourceSubscriptions": ["tool://hammer", "file:///x"]}
    await pipe.ask("subscriptions/listen", {"notifications": uris}, call_id="two")
    acknowledged = {}
    for _ in range(2):
        message = await pipe.read()
        assert message["method"] == "notifications/subscriptions/acknowledged"
        acknowledged[message["params"]["_meta"][SUBSCRIPTION]] = message["params"]["notifications"]
    assert acknowledged == {
        1: {"toolsListChanged": True},
        "two": {"resourceSubscriptions": ["tool://hammer"]},
    }
    await pipe.shop.tell("notifications/resources/updated", {"uri": "tool://hammer"})
    assert {(await pipe.read())["params"]["_meta"][SUBSCRIPTION] for _ in range(2)} == {1, "two"}
    await pipe.tell({"method": "notifications/cancelled", "params": {"requestId": 1}})
    await pipe.shop.wait(lambda: pipe.shop.listening == 1)
    await pipe.close()
    (last,) = await pipe.rest()
    assert last["id"] == "two"
    assert last["result"] == {"resultType": "complete", "_meta": {SUBSCRIPTION: "two"}}
    assert not pipe.shop.listening


@pytest.mark.parametrize("wanted", [None, 5, {"toolsListChanged": 1}])
async def test_a_subscription_says_what_it_wants(pipe, wanted):
    await pipe.ask("subscriptions/listen", {"notifications": wanted})
    error_of(await pipe.read(), -32602, 1)


async def test_a_service_that_fails_says_no_secrets(pipe, caplog):
    await pipe.ask("tools/call", {"name": "crash"})
    assert "secret" not in error_of(await pipe.read(), -32603, 1)
    assert "the secret reason" in caplog.text


# --- the handshake era ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("1999-01-01", "2025-11-25"),
        (MODERN, "2025-11-25"),
    ],
)
async def test_initialize_begins_a_conversation(pipe, asked, agreed):
    result = await pipe.shake(asked)
    assert result["protocolVersion"] == agreed
    assert result["serverInfo"]["name"] == "workshop"
    assert result["instructions"] == "Try the tools."
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": "echo"}})
    answered = await pipe.read()
    assert "resultType" not in answered["result"]
    client = pipe.shop.requests[-1].client
    assert (client.version, client.info["name"]) == (agreed, "old")
    assert client.session


async def test_a_probe_may_come_before_the_handshake(pipe):
    await pipe.ask("server/discover")
    assert "result" in await pipe.read()
    assert (await pipe.shake())["protocolVersion"] == "2025-11-25"
    await pipe.ask("tools/list", call_id=2)  # and the other era goes on beside it
    assert (await pipe.read())["result"]["resultType"] == "complete"


async def test_before_either_only_a_ping_is_answered(pipe):
    await pipe.tell({"id": 1, "method": "ping"}, {"id": 2, "method": "tools/list"})
    assert (await pipe.read())["result"] == {}
    assert "initialize" in error_of(await pipe.read(), -32602, 2)


async def test_a_conversation_begins_once(pipe):
    await pipe.shake()
    await pipe.tell({"id": 2, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}})
    error_of(await pipe.read(), -32600, 2)


@pytest.mark.parametrize("params", [{}, {"protocolVersion": 5}, {"capabilities": []}])
async def test_an_unfit_handshake_is_refused_and_can_be_tried_again(pipe, params):
    await pipe.tell({"id": 1, "method": "initialize", "params": params})
    error_of(await pipe.read(), -32602, 1)
    assert (await pipe.shake())["protocolVersion"]


@pytest.mark.parametrize("tool", ["ask", "ask_now"])
async def test_the_client_is_asked_while_it_waits(pipe, tool):
    await pipe.shake(elicitation={})
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": tool}})
    asked = await pipe.read()
    assert (asked["method"], asked["params"]) == ("elicitation/create", dict(FORM))
    await pipe.tell(
        {"id": "not mine", "result": {}},
        {"id": asked["id"], "result": {"action": "accept", "content": {"name": "Ada"}}},
        {"id": asked["id"], "result": {"action": "decline"}},
    )
    assert "Ada" in (await pipe.read())["result"]["content"][0]["text"]


async def test_a_refusal_of_the_clients_is_the_answer(pipe):
    await pipe.shake(elicitation={})
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": "ask"}})
    asked = await pipe.read()
    error = {"code": -1, "message": "not now", "data": {"why": "busy"}}
    await pipe.tell({"id": asked["id"], "error": error})
    assert (await pipe.read())["error"] == error


async def test_nobody_is_asked_what_it_cannot_answer(pipe):
    await pipe.shake()
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": "ask"}})
    error_of(await pipe.read(), -32021, 2)


async def test_a_question_outside_of_requests_is_put_too(pipe):
    await pipe.shake(roots={})
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": "ask_outside"}})
    asked = await pipe.read()
    assert asked["method"] == "roots/list"
    await pipe.tell({"id": asked["id"], "result": {"roots": [{"uri": "file:///home"}]}})
    assert "file:///home" in (await pipe.read())["result"]["content"][0]["text"]


async def test_a_question_is_withdrawn_with_its_request(pipe):
    await pipe.shake(elicitation={})
    await pipe.tell({"id": 2, "method": "tools/call", "params": {"name": "ask"}})
    asked = await pipe.read()
    await pipe.tell({"method": "notifications/cancelled", "params": {"requestId": 2}})
    withdrawn = await pipe.read()
    assert withdrawn["method"] == "notifications/cancelled"
    assert withdrawn["params"]["requestId"] == asked["id"]


async def test_resources_are_subscribed_to_and_the_level_is_set(pipe):
    await pipe.shake()
    await pipe.shop.wait(lambda: pipe.shop.listening == 1)  # the lists
    await pipe.tell(
        {"id": 2, "method": "resources/subscribe", "params": {"uri": "tool://hammer"}},
    )
    assert (await pipe.read())["result"] == {}
    await pipe.shop.tell("notifications/resources/updated", {"uri": "tool://hammer"})
    told = await pipe.read()
    assert told["params"] == {"uri": "tool://hammer"}
    await pipe.tell({"id": 3, "method": "resources/unsubscribe", "params": told["params"]})
    assert (await pipe.read())["result"] == {}
    assert "resourceSubscriptions" not in pipe.shop.wanted[-1]
    await pipe.tell(
        {"id": 4, "method": "logging/setLevel", "params": {"level": "emergency"}},
        {"id": 5, "method": "tools/call", "params": {"name": "log"}},
    )
    assert (await pipe.read())["id"] == 4
    assert (await pipe.read())["params"]["level"] == "emergency"
    assert (await pipe.read())["id"] == 5


async def test_other_notifications_reach_the_service(pipe):
    await pipe.shake()
    await pipe.tell({"method": "notifications/roots/list_changed"})
    await pipe.shop.wait(lambda: pipe.shop.notes)
    assert pipe.shop.notes == [("notifications/roots/list_changed", {})]


async def test_a_batch_is_answered_as_a_batch_where_the_version_has_them(pipe):
    await pipe.shake("2025-03-26")
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": 2, "method": "nothing"},
        "noise",
    ]
    await pipe.tell(batch)
    answered = await pipe.read()
    assert sorted(str(each["id"]) for each in answered) == ["1", "2", "None"]
    await pipe.shop.wait(lambda: pipe.shop.notes)
    await pipe.tell([])
    error_of(await pipe.read(), -32600)


async def test_there_are_no_batches_elsewhere(pipe):
    await pipe.tell([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])
    error_of(await pipe.read(), -32600)
    await pipe.shake()
    await pipe.tell([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])
    error_of(await pipe.read(), -32600)


# --- noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "call_id"),
    [
        (b"garbage", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,', -32700, 1),
        (b"\xff\xfe{}", -32700, None),
        (b'{"jsonrpc":"2.0","id":7,"method":"x","params":NaN}', -32700, 7),
        (b'{"jsonrpc":"2.0","id":8,"method":"x","params":1e999}', -32700, 8),
        (b"5", -32600, None),
        (b"null", -32600, None),
        (b"{}", -32600, None),
        (b'{"jsonrpc":"1.0","id":3,"method":"ping"}', -32600, 3),
        (b'{"jsonrpc":"2.0","id":3,"method":5}', -32600, 3),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":3,"method":"tools/list","params":[1]}', -32602, 3),
        (b'{"jsonrpc":"2.0","id":4}', -32600, 4),
    ],
)
async def test_what_is_no_message_is_answered_and_the_next_is_served(pipe, line, code, call_id):
    await pipe.write(line + b"\n\r\n   \n")
    error_of(await pipe.read(), code, call_id)
    await pipe.ask("tools/list", call_id="next")
    assert (await pipe.read())["id"] == "next"


@pytest.mark.parametrize("depth", [101, 5_000, 200_000])
@pytest.mark.parametrize("place", ["first", "last"])
async def test_deep_nesting_is_refused_by_the_id_of_its_request(pipe, depth, place):
    deep = b"[" * depth + b"]" * depth
    params = b'"method":"tools/call","params":{"a":' + deep + b"}"
    line = {
        "first": b'{"jsonrpc":"2.0","id":"d",' + params + b"}",
        "last": b'{"jsonrpc": "2.0", ' + params + b', "id": "d"}',
    }[place]
    await pipe.write(line + b"\n")
    assert "nested" in error_of(await pipe.read(), -32600, "d")


async def test_a_line_over_the_limit_is_refused_and_passed_over():
    async with opened(max_line_bytes=10_000) as pipe:
        head = b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"'
        await pipe.write(head)
        for _ in range(50):
            await pipe.write(b"x" * 9_000)
        await pipe.write(b'"}}\n')
        assert "longer" in error_of(await pipe.read(), -32600, 5)
        await pipe.ask("tools/list", call_id=6)
        assert (await pipe.read())["id"] == 6


async def test_a_line_may_come_in_pieces(pipe):
    whole = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    )
    for at in range(0, len(whole), 7):
        await pipe.write(whole[at : at + 7].encode())
    await pipe.write(b"\r\n")
    assert (await pipe.read())["id"] == 1


async def test_an_id_in_use_is_refused(pipe):
    await pipe.ask("tools/call", {"name": "wait"}, call_id=1)
    await pipe.ask("tools/call", {"name": "echo"}, call_id=1)
    assert "in use" in error_of(await pipe.read(), -32600, 1)
    await pipe.ask("tools/call", {"name": "echo"}, call_id="1")  # is another
    assert (await pipe.read())["id"] == "1"
    pipe.shop.release.set()
    assert "released" in json.dumps(await pipe.read())


async def test_too_many_requests_at_once_are_refused(pipe):
    for number in range(1_001):
        await pipe.ask("tools/call", {"name": "wait"}, call_id=number)
    error_of(await pipe.read(), -32603, 1_000)


# --- the end -------------------------------------------------------------------------------------


async def test_what_was_asked_before_the_end_is_still_answered(pipe):
    await pipe.ask("tools/call", {"name": "wait"}, call_id=1)
    await pipe.shop.running.wait()
    await pipe.write(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"}).encode())
    await pipe.close()
    assert (await pipe.read())["id"] == 2
    pipe.shop.release.set()
    (last,) = await pipe.rest()
    assert last["id"] == 1


async def test_the_end_waits_for_nobody_who_does_not_come(pipe):
    await pipe.ask("tools/call", {"name": "wait"})
    await pipe.shop.running.wait()
    await pipe.close()
    assert await pipe.rest() == []
    assert pipe.shop.cancelled == 1


async def test_being_ended_stops_everything_and_answers_subscriptions(pipe):
    await pipe.ask("subscriptions/listen", {"notifications": {}}, call_id="s")
    assert "acknowledged" in (await pipe.read())["method"]
    pipe.ending.set()
    (last,) = await pipe.rest()
    assert last["id"] == "s"
    assert not pipe.shop.listening


async def test_a_client_that_reads_no_more_is_left(pipe):
    await pipe.shake()
    await pipe.tell({"id": 1, "method": "tools/call", "params": {"name": "wait"}})
    await pipe.shop.running.wait()
    pipe.is_read = False
    await pipe.ask("tools/list", call_id=2)
    with anyio.fail_after(30):
        await pipe.served.wait()
    assert pipe.shop.cancelled == 1


async def test_a_conversation_is_left_at_the_end(pipe):
    await pipe.shake()
    await pipe.close()
    await pipe.rest()
    (client,) = pipe.shop.left
    assert client.session
    assert not pipe.shop.listening
