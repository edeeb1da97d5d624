"""Clients that do not read, do not finish, or come in crowds: what they cost is bounded."""

import json
import tracemalloc

import anyio
import pytest

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "progressToken": 1,
}


def post(bench, body, **headers):
    data = json.dumps(body).encode()
    about = {
        "host": "localhost",
        "authorization": "Bearer a-key",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "content-length": len(data),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in about.items())
    return f"POST /shop HTTP/1.1\r\n{head}\r\n".encode() + data


def call(name, arguments, *, meta=META):
    params = {"name": name, "arguments": arguments, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


ROUTED = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}


async def connect(bench):
    host, port = bench.url.removeprefix("http://").split("/")[0].split(":")
    return await anyio.connect_tcp(host, int(port))


async def test_a_modern_client_that_does_not_read_is_given_up_and_its_request_cancelled(open_bench):
    async with open_bench(send_timeout_s=0.2) as bench, await connect(bench) as socket:
        request = call("flood", {"upto": 1_000, "chars": 100_000})
        await socket.send(post(bench, request, **ROUTED, **{"mcp-name": "flood"}))
        await bench.shop.wait(lambda: bench.shop.cancelled == 1)
        assert bench.shop.told < 999


async def test_an_old_client_that_does_not_read_costs_no_memory_and_no_other_request(open_bench):
    async with open_bench(send_timeout_s=0.2) as bench:
        headers = await bench.shake()
        async with await connect(bench) as socket:
            arguments = {"upto": 1_000, "chars": 100_000}
            request = call("flood", arguments, meta={"progressToken": 1})
            tracemalloc.start()
            await socket.send(post(bench, request, **headers))
            await bench.shop.wait(lambda: bench.shop.told == 999)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 20_000_000  # of a hundred million
            got = await bench.post("ping", headers=headers, call_id=2)
            assert got.json()["result"] == {}


async def test_a_standing_stream_that_nobody_reads_costs_no_memory(bench):
    headers = await bench.shake()
    async with await connect(bench) as socket:
        about = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"authorization: Bearer a-key\r\naccept: text/event-stream\r\n{about}\r\n"
        await socket.send(f"GET /shop HTTP/1.1\r\nhost: localhost\r\n{head}".encode())
        await bench.shop.wait(lambda: bench.shop.listening)
        tracemalloc.start()
        for number in range(5_000):
            params = {"uri": f"tool://{number}", "x": "x" * 1_000}
            await bench.shop.tell("notifications/resources/updated", params)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8_000_000
    assert (await bench.post("ping", headers=headers)).json()["result"] == {}


async def test_a_connection_that_ends_in_the_midst_of_a_body_is_no_matter(bench):
    async with await connect(bench) as socket:
        await socket.send(post(bench, call("echo", {}), **ROUTED)[:-20])
    assert (await bench.call("tools/list")).status_code == 200
    assert len(bench.shop.requests) == 1


async def test_a_header_cannot_smuggle_another(bench):
    async with await connect(bench) as socket:
        request = post(bench, call("echo", {}), **ROUTED, **{"mcp-name": "echo\nx-evil: 1"})
        await socket.send(request)
        answer = await socket.receive()
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert not bench.shop.requests


async def test_what_a_client_names_never_becomes_a_header(bench):
    got = await bench.post("initialize", {"protocolVersion": "2025-11-25\r\nx-evil: 1"})
    assert "x-evil" not in got.headers
    got = await bench.call("tools/call", {"name": "no\r\nx-evil: 1"}, headers={"mcp-name": None})
    assert (got.status_code, "x-evil" in got.headers) == (400, False)


async def test_a_body_over_the_limit_is_refused_before_it_is_read(bench):
    got = await bench.call("tools/call", {"name": "echo", "arguments": {"text": "x" * 5_000_000}})
    assert got.status_code == 413
    assert not bench.shop.requests


async def test_subscriptions_are_limited(open_bench):
    listen, wanted = "subscriptions/listen", {"notifications": {}}
    async with open_bench(max_subscriptions=1) as bench:
        async with bench.stream(listen, wanted) as (_, stream):
            await stream.next()
            got = await bench.call(listen, wanted)
            assert (got.status_code, got.json()["error"]["code"]) == (503, -32603)
        await bench.shop.wait(lambda: not bench.shop.listening)


async def test_of_whoever_listens_most_one_gives_way_to_another(open_bench):
    listen, wanted = "subscriptions/listen", {"notifications": {}}
    bob = {"authorization": "Bearer b-key"}
    async with open_bench(max_subscriptions=2) as bench:
        async with (
            bench.stream(listen, wanted) as (_, first),
            bench.stream(listen, wanted) as (_, second),
        ):
            await first.next()
            await second.next()
            async with bench.stream(listen, wanted, headers=bob) as (_, theirs):
                _, told = await theirs.next()
                assert told["method"] == "notifications/subscriptions/acknowledged"
                _, ended = await first.next()
                assert ended["result"]["resultType"] == "complete"
                assert (await bench.call(listen, wanted, headers=bob)).status_code == 503
        await bench.shop.wait(lambda: not bench.shop.listening)


async def test_requests_of_a_session_are_limited(open_bench):
    async with open_bench(max_in_flight=2) as bench:
        headers = await bench.shake()
        async with anyio.create_task_group() as tasks:
            for call_id in range(2):
                params = {"name": "wait"}
                tasks.start_soon(
                    lambda call_id=call_id, params=params: bench.post(
                        "tools/call", params, headers=headers, call_id=call_id
                    )
                )
            await bench.shop.wait(lambda: len(bench.shop.requests) == 2)
            got = await bench.post("ping", headers=headers, call_id=9)
            assert got.json()["error"]["code"] == -32603
            bench.shop.release.set()
        assert (await bench.post("ping", headers=headers)).json()["result"] == {}


async def test_a_thousand_sessions_are_kept_apart(open_bench):
    async with open_bench(max_sessions=1_000) as bench:
        begun = []

        async def begin():
            for _ in range(125):
                got = await bench.post("initialize", {"protocolVersion": "2025-11-25"})
                begun.append(got.headers["mcp-session-id"])

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(begin)
        assert len(set(begun)) == len(bench.face.sessions) == 1_000
        got = await bench.post("initialize", {"protocolVersion": "2025-11-25"})
        assert got.status_code == 503
        level = {"level": "error"}
        await bench.post("logging/setLevel", level, headers={"mcp-session-id": begun[3]})
        for session in begun[2:5]:
            about = {"mcp-session-id": session}
            await bench.post("tools/call", {"name": "echo"}, headers=about)
        levels = [each.client.log_level for each in bench.shop.requests]
        assert levels == [None, "error", None]
    assert len(bench.shop.left) == 1_000
