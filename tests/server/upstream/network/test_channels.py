"""Our own connections against servers that are slow, rude or mean: no answer is ever another's."""

import contextlib
import inspect
import random
import socket
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from toolcrib_server.upstream.failures import LinkLost, Unanswered
from toolcrib_server.upstream.network.channels import Channels, Place, is_plain, render

pytestmark = pytest.mark.anyio

SOON_S = 30.0
GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


def plain(body, more=b""):
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (more, len(body), body)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream:
    """A server whose connections are each in the hands of a test; it notes what it was asked."""

    def __init__(self, script):
        self.script = script
        self.asked = []
        self.connections = 0
        self.ended = 0
        self.changed = anyio.Event()
        self.url = ""

    async def serve(self, stream):
        self.connections += 1
        reader = BufferedByteReceiveStream(stream)
        with contextlib.suppress(*GONE, anyio.IncompleteRead):
            async with stream:
                while True:
                    head = await reader.receive_until(b"\r\n\r\n", 100_000)
                    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    body = await reader.receive_exactly(int(length or 0))
                    self.asked.append(body)
                    await self.answer(stream, body)
        self.ended += 1
        self.changed.set()

    async def answer(self, stream, body):
        step: Any = self.script(body) if callable(self.script) else self.script.pop(0)
        if isinstance(step, bytes):
            await stream.send(step)
        else:
            await step(stream, body)

    async def wait_ended(self, count):
        with anyio.fail_after(SOON_S):
            while self.ended < count:
                self.changed = anyio.Event()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def upstream(*script):
    decides = callable(script[0]) and not inspect.iscoroutinefunction(script[0])
    server = Upstream(script[0] if decides else list(script))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def connections(*, max_connections=8, max_idle=4, keepalive_s=5.0):
    channels = Channels(max_connections=max_connections, max_idle=max_idle, keepalive_s=keepalive_s)
    try:
        yield channels
    finally:
        await channels.aclose()


def opening(channels, url, body=b"", *, headers=(), read=None, pool=None, write=2.0):
    timeouts = {"connect": SOON_S, "pool": pool, "write": write, "read": read}
    return channels.stream(
        "POST", url, headers=[*headers], content=body, extensions={"timeout": timeouts}
    )


async def ask(channels, url, body=b"", **options):
    with anyio.fail_after(SOON_S):
        async with opening(channels, url, body, **options) as response:
            return b"".join([part async for part in response.aiter_stream()])


async def hang(stream, body):
    await anyio.sleep_forever()


async def hang_up(stream, body):
    await stream.aclose()


async def test_a_connection_serves_the_next_request():
    async with connections() as channels, upstream(plain(b"1"), STREAM + b"0\r\n\r\n") as server:
        assert await ask(channels, server.url, b"a") == b"1"
        assert await ask(channels, server.url, b"b") == b""
    assert (server.connections, server.asked) == (1, [b"a", b"b"])


async def test_no_connection_serves_another_place():
    async with (
        connections() as channels,
        upstream(lambda _: plain(b"one")) as one,
        upstream(lambda _: plain(b"two")) as two,
    ):
        for _ in range(3):
            assert await ask(channels, one.url) == b"one"
            assert await ask(channels, two.url) == b"two"
    assert (one.connections, two.connections) == (1, 1)


async def test_a_stream_left_at_its_answer_may_end_and_then_serves_again():
    told = anyio.Event()

    async def answer(stream, body):
        await stream.send(STREAM + chunk(b"data: answer\n\n"))
        await told.wait()
        await stream.send(chunk(b": bye\n\n") + b"0\r\n\r\n")

    async with connections() as channels, upstream(answer, plain(b"next")) as server:
        async with opening(channels, server.url) as response:
            async for part in response.aiter_stream():
                assert part == b"data: answer\n\n"
                break
        told.set()
        with anyio.fail_after(SOON_S):
            while not channels.idle:  # noqa: ASYNC110
                await anyio.sleep(0.001)
        assert await ask(channels, server.url) == b"next"
    assert server.connections == 1


async def test_a_stream_left_at_its_answer_that_goes_on_is_hung_up_on():
    async def answer(stream, body):
        await stream.send(STREAM + chunk(b"data: answer\n\n"))
        while True:
            await stream.send(chunk(b"x" * 9_000))

    async with connections() as channels, upstream(answer) as server:
        async with opening(channels, server.url) as response:
            await anext(aiter(response.aiter_stream()))
        await server.wait_ended(1)


async def test_what_is_cancelled_is_hung_up_on_at_once_and_its_answer_goes_nowhere():
    asked = anyio.Event()

    async def late(stream, body):
        asked.set()
        await anyio.sleep_forever()

    def script(body):
        return late if body == b"slow" else plain(b"of " + body)

    async with connections() as channels, upstream(script) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, channels, server.url, b"slow")
            await asked.wait()
            tasks.cancel_scope.cancel()
        assert await ask(channels, server.url, b"next") == b"of next"
        assert server.connections == 2


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody():
    poisoned = plain(b"first") + plain(b"poison")
    async with connections() as channels, upstream(poisoned, plain(b"second")) as server:
        assert await ask(channels, server.url) == b"first"
        assert await ask(channels, server.url) == b"second"
    assert server.connections == 2


async def test_an_answer_that_comes_later_unasked_ends_the_connection():
    async def twice(stream, body):
        await stream.send(plain(b"first"))
        await stream.send(plain(b"poison"))

    async with connections() as channels, upstream(twice, plain(b"second")) as server:
        assert await ask(channels, server.url) == b"first"
        await server.wait_ended(1)
        assert await ask(channels, server.url) == b"second"


async def test_answers_are_never_crossed_whatever_the_servers_do():
    dice = random.Random(5)

    async def slowly(stream, body):
        whole = plain(b"<" + body + b">")
        for at in range(0, len(whole), 7):
            await stream.send(whole[at : at + 7])
        if dice.random() < 0.2:
            await stream.send(plain(b"<poison>"))

    async def in_chunks(stream, body):
        await stream.send(STREAM + chunk(b"<" + body))
        await stream.send(chunk(b">") + b"0\r\n\r\n")

    def script(body):
        closing = plain(b"<" + body + b">", b"connection: close\r\n")
        steps = [slowly, in_chunks, plain(b"<" + body + b">"), closing, hang_up, hang]
        return dice.choices(steps, [4, 4, 8, 2, 1, 1])[0]

    async with connections() as channels, upstream(script) as server:
        answered = 0

        async def work(worker):
            nonlocal answered
            for turn in range(40):
                body = b"%d-%d" % (worker, turn)
                with contextlib.suppress(Unanswered), anyio.move_on_after(dice.uniform(0.01, 0.5)):
                    answer = await ask(channels, server.url, body)
                    assert answer == b"<" + body + b">"
                    answered += 1

        async with anyio.create_task_group() as tasks:
            for worker in range(12):
                tasks.start_soon(work, worker)
    assert answered > 200


async def test_a_server_that_hangs_up_without_an_answer_may_have_got_the_request():
    async with connections() as channels, upstream(hang_up) as server:
        with pytest.raises(Unanswered, match="disconnected without an answer"):
            await ask(channels, server.url)


async def test_a_connection_that_was_closed_while_idle_is_not_used():
    async def last(stream, body):
        await stream.send(plain(b"1"))
        await stream.aclose()

    async with connections() as channels, upstream(last, plain(b"2")) as server:
        assert await ask(channels, server.url) == b"1"
        await server.wait_ended(1)
        assert await ask(channels, server.url) == b"2"


async def test_where_nobody_listens_nothing_was_sent():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    await listener.aclose()
    async with connections() as channels:
        with pytest.raises(LinkLost, match=f"127.0.0.1:{port}: Connection refused") as caught:
            await ask(channels, f"http://127.0.0.1:{port}/")
    assert not caught.value.delivered


async def test_a_name_of_many_addresses_is_reached_by_the_one_that_answers():
    async with connections() as channels, upstream(plain(b"here")) as server:
        assert await ask(channels, server.url.replace("127.0.0.1", "localhost")) == b"here"


async def test_silence_ends_a_request_that_set_a_limit_to_it():
    async with connections() as channels, upstream(hang) as server:
        with pytest.raises(Unanswered, match=r"silent for 0\.05 s"):
            await ask(channels, server.url, read=0.05)


async def test_a_slow_reader_makes_the_server_wait():
    sent = 0

    async def flood(stream, body):
        nonlocal sent
        await stream.send(STREAM)
        while True:
            await stream.send(chunk(b"x" * 60_000))
            sent += 60_000

    async with connections() as channels, upstream(flood) as server:
        async with opening(channels, server.url) as response:
            parts = response.aiter_stream()
            await anext(parts)
            before, now = -1, sent
            with anyio.fail_after(SOON_S):
                while now > before:  # until it is stuck
                    await anyio.sleep(0.1)
                    before, now = now, sent
            assert now < 16_000_000
            taken = 0
            while taken < now + 1_000_000:
                taken += len(await anext(parts))
        assert sent > now


async def test_a_request_that_is_not_read_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with connections() as channels:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
            with pytest.raises(Unanswered, match="did not read the request"):
                await ask(channels, url, b"x" * 40_000_000, write=0.2)


async def test_an_answer_that_comes_before_the_request_is_read_counts():
    async def refuse(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
    async with listener, connections() as channels, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        assert await ask(channels, url, b"x" * 40_000_000) == b"big"
        assert not channels.idle
        tasks.cancel_scope.cancel()


async def test_who_finds_no_room_waits_and_is_told_when_in_vain():
    gate = anyio.Event()

    async def wait(stream, body):
        await gate.wait()
        await stream.send(plain(b"late"))

    async with (
        connections(max_connections=1) as channels,
        upstream(lambda _: wait) as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, channels, server.url)
        with anyio.fail_after(SOON_S):
            while not server.asked:  # noqa: ASYNC110
                await anyio.sleep(0.001)
        with pytest.raises(LinkLost, match="all connections are in use") as caught:
            await ask(channels, server.url, pool=0.05)
        assert not caught.value.delivered
        async with anyio.create_task_group() as others:
            others.start_soon(ask, channels, server.url)
            gate.set()
    assert (len(server.asked), server.connections) == (2, 1)


async def test_few_connections_stay_open_and_none_for_long():
    gate = anyio.Event()

    async def wait(stream, body):
        await gate.wait()
        await stream.send(plain(b"x"))

    async with (
        connections(max_connections=9, max_idle=2, keepalive_s=1.0) as channels,
        upstream(lambda _: wait) as server,
    ):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, channels, server.url)
            with anyio.fail_after(SOON_S):
                while len(server.asked) < 5:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
            gate.set()
        await server.wait_ended(3)
        assert channels.idle == 2
        await server.wait_ended(5)
        assert channels.idle == 0


async def test_closing_ends_what_is_under_way():
    async with connections() as channels, upstream(hang) as server:

        async def ask_in_vain():
            with pytest.raises(Unanswered):
                await ask(channels, server.url)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_in_vain)
            with anyio.fail_after(SOON_S):
                while not server.asked:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
            await channels.aclose()


def test_a_request_is_written_as_http_wants_it():
    place, request = render("POST", "http://a.example:81/p?q=%20#f", [(b"accept", b"x")], b"{}")
    assert place == Place("a.example", 81)
    assert request == (
        b"POST /p?q=%20 HTTP/1.1\r\nhost: a.example:81\r\ncontent-length: 2\r\naccept: x\r\n\r\n{}"
    )
    _, request = render("GET", "http://[::1]", [], None)
    assert request == b"GET / HTTP/1.1\r\nhost: [::1]\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://a/", (b"x", b"a\r\nhost: b")),
        ("http://a/", (b"x", b"a\nb")),
        ("http://a/", (b"x", b"\x00")),
        ("http://a/", (b"x y", b"z")),
        ("http://a/", (b"x:", b"z")),
        ("http://a/", (b"", b"z")),
        ("http://a/", (b"Content-Length", b"5")),
        ("http://a/", (b"transfer-encoding", b"chunked")),
        ("http://a/", (b"Host", b"b")),
        ("http://a/ HTTP/1.1\r\nx: y", (b"x", b"y")),
        ("http://a/é", (b"x", b"y")),
    ],
)
def test_no_header_or_url_can_smuggle_another_request(url, header):
    with pytest.raises(LinkLost) as caught:
        render("POST", url, [header], b"")
    assert not caught.value.delivered


@pytest.mark.parametrize(
    ("url", "plainly"),
    [
        ("http://a/", True),
        ("http://127.0.0.1:80/x?y", True),
        ("https://a/", False),
        ("http://user:secret@a/", False),
        ("http:///x", False),
        ("http://a/é", False),
        ("unix:///x", False),
    ],
)
def test_only_plain_urls_go_this_way(url, plainly):
    assert is_plain(url) is plainly
