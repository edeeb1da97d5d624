"""Bare connections against servers that mean harm: no wait without end, no answer of another."""

import contextlib

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from toolcrib_server.upstream.network.exchange import HungUp
from toolcrib_server.upstream.network.plain_answer import Surprise
from toolcrib_server.upstream.network.postbox import Postbox

pytestmark = pytest.mark.anyio

HEADERS = {"accept": "application/json", "authorization": "Bearer s3cr3t"}
SOON_S = 30.0


def plain(body, *, length=None, more=b""):
    size = len(body) if length is None else length
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    return head + more + b"content-length: %d\r\n\r\n%s" % (size, body)


class Enemy:
    """A server that answers each request with the next of its scripts, and counts connections.

    A script is bytes to send, or a function of the stream and the body; the last one is repeated.
    """

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.requests = []
        self.connections = 0
        self.url = ""
        self.ended = anyio.Event()

    async def serve(self, stream):
        self.connections += 1
        reader = BufferedByteReceiveStream(stream)
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with stream:
                with contextlib.suppress(anyio.IncompleteRead):
                    while True:
                        await self.answer(stream, reader)
        self.ended.set()

    async def answer(self, stream, reader):
        head = await reader.receive_until(b"\r\n\r\n", 10_000)
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await reader.receive_exactly(int(length))
        self.requests.append(head + b"\r\n\r\n" + body)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, bytes):
            await stream.send(script)
        else:
            await script(stream, body)


@contextlib.asynccontextmanager
async def listening(*scripts):
    enemy = Enemy(*scripts)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    enemy.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, enemy.serve)
        yield enemy
        tasks.cancel_scope.cancel()


@pytest.fixture
async def postbox():
    box = Postbox(limit_bytes=10_000)
    yield box
    box.close()


async def post(box, enemy, body=b"{}", *, deadline_s=SOON_S, url=None):
    with anyio.fail_after(deadline_s):
        return await box.post(url or enemy.url, HEADERS, body)


async def hang_up(stream, _):
    await stream.aclose()


async def test_a_request_is_written_as_http_wants_it(postbox):
    async with listening(plain(b"[1]")) as enemy:
        assert await post(postbox, enemy, url=f"{enemy.url}?key=a%20b#part") == b"[1]"
    host = enemy.url.split("/")[2].encode()
    assert enemy.requests == [
        b"POST /mcp?key=a%20b HTTP/1.1\r\nhost: " + host + b"\r\ncontent-length: 2\r\n"
        b"accept: application/json\r\nauthorization: Bearer s3cr3t\r\n\r\n{}"
    ]


async def test_a_connection_serves_the_next_request_to_the_same_place(postbox):
    async with listening(plain(b"1"), plain(b"2"), plain(b"3")) as enemy:
        answers = [await post(postbox, enemy) for _ in range(3)]
    assert answers == [b"1", b"2", b"3"]
    assert enemy.connections == 1


async def test_no_connection_serves_another_place(postbox):
    async with listening(plain(b'"a"')) as first, listening(plain(b'"b"')) as second:
        for _ in range(3):
            assert await post(postbox, first) == b'"a"'
            assert await post(postbox, second) == b'"b"'
    assert (first.connections, second.connections) == (1, 1)


async def test_few_connections_stay_open(postbox):
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(listening(plain(b"1"))) for _ in range(20)]
        for enemy in servers:
            await post(postbox, enemy)
        for enemy in servers[:4]:
            with anyio.fail_after(SOON_S):
                await enemy.ended.wait()
        assert not any(enemy.ended.is_set() for enemy in servers[4:])


async def test_many_at_once_each_get_their_own_answer(postbox):
    async def echo(stream, body):
        await stream.send(plain(body))

    got = {}

    async def one(number):
        got[number] = await post(postbox, enemy, b"%d" % number)

    async with listening(echo) as enemy, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)
    assert got == {number: b"%d" % number for number in range(100)}
    assert enemy.connections <= 64


async def test_a_connection_that_was_closed_while_idle_is_replaced(postbox):
    async with listening(plain(b"1"), hang_up, plain(b"2")) as enemy:
        assert await post(postbox, enemy) == b"1"
        assert await post(postbox, enemy) == b"2"
    assert (enemy.connections, len(enemy.requests)) == (2, 3)


async def test_a_server_that_hangs_up_on_a_new_connection_is_not_asked_again(postbox):
    async with listening(hang_up) as enemy:
        with pytest.raises(HungUp):
            await post(postbox, enemy)
    assert len(enemy.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"[1, 2]", length=1000),
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}",
        b"HTTP/1.1 20",
    ],
    ids=["less than it says", "no length", "half a status"],
)
async def test_an_answer_that_breaks_off_is_none(postbox, answer):
    async def some(stream, _):
        await stream.send(answer)
        await stream.aclose()

    async with listening(some) as enemy:
        with pytest.raises(Surprise, match="broke the connection off") as raised:
            await post(postbox, enemy)
    assert not isinstance(raised.value, HungUp)
    assert len(enemy.requests) == 1


async def test_a_slow_drip_does_not_outlast_the_deadline_and_is_hung_up_on(postbox):
    async def drip(stream, _):
        await stream.send(plain(b"", length=1000))
        while True:
            await stream.send(b" ")
            await anyio.sleep(0.01)

    async with listening(drip) as enemy:
        with pytest.raises(TimeoutError):
            await post(postbox, enemy, deadline_s=1.0)
        with anyio.fail_after(SOON_S):
            await enemy.ended.wait()
        with pytest.raises(TimeoutError):  # on a connection of its own
            await post(postbox, enemy, deadline_s=1.0)
    assert enemy.connections == 2


async def test_what_comes_late_is_never_the_answer_to_another_request(postbox):
    late = anyio.Event()

    async def half(stream, _):
        await stream.send(plain(b'"late"')[:-3])
        await late.wait()
        await stream.send(b'te"')

    async with listening(half, plain(b'"own"')) as enemy:
        with pytest.raises(TimeoutError):
            await post(postbox, enemy, deadline_s=1.0)
        late.set()
        assert await post(postbox, enemy) == b'"own"'
    assert enemy.connections == 2


async def test_a_second_answer_that_nobody_asked_for_is_not_kept_for_the_next(postbox):
    async with listening(plain(b'"a"') + plain(b'"evil"'), plain(b'"own"')) as enemy:
        with pytest.raises(Surprise, match="more than one answer"):
            await post(postbox, enemy)
        assert await post(postbox, enemy) == b'"own"'
    assert enemy.connections == 2


async def test_what_comes_while_nobody_asks_ends_the_connection(postbox):
    async def and_more(stream, _):
        await stream.send(plain(b'"a"'))
        await go_on.wait()
        await stream.send(plain(b'"evil"'))

    go_on = anyio.Event()
    async with listening(and_more, plain(b'"own"')) as enemy:
        assert await post(postbox, enemy) == b'"a"'
        go_on.set()
        with anyio.fail_after(SOON_S):
            await enemy.ended.wait()
        assert await post(postbox, enemy) == b'"own"'
    assert enemy.connections == 2


async def test_more_than_the_limit_is_not_read(postbox):
    async with listening(plain(b" " * 20_000)) as enemy:
        with pytest.raises(Surprise, match="more than 10000 bytes"):
            await post(postbox, enemy)


async def test_a_port_where_nobody_listens_is_a_surprise(postbox):
    async with listening(plain(b"1")) as enemy:
        pass
    with pytest.raises(Surprise, match="cannot be connected to"):
        await post(postbox, enemy)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:9/mcp",
        "http://me@127.0.0.1:9/mcp",
        "http://127.0.0.1:9/m cp",
        "http://127.0.0.1:9/m\r\nx: y",
        "http://127.0.0.1:99999/mcp",
        "http://[::1/mcp",
        "http:///mcp",
        "/mcp",
    ],
)
async def test_other_urls_go_another_way(postbox, url):
    with pytest.raises(Surprise, match=r"plain HTTP|cannot be read"):
        await postbox.post(url, HEADERS, b"{}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "elsewhere"),
        ("transfer-encoding", "chunked"),
        ("content-length", "1"),
        ("connection", "close"),
        ("x", "a\r\ny: b"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", "\ud800"),
        ("x y", "a"),
        ("x\r\ny", "a"),
        ("", "a"),
    ],
)
async def test_headers_that_change_how_a_request_is_sent_go_another_way(postbox, name, value):
    async with listening(plain(b"1")) as enemy:
        with pytest.raises(Surprise, match="special kind"):
            await postbox.post(enemy.url, {**HEADERS, name: value}, b"{}")
    assert enemy.connections == 0


async def test_values_beyond_ascii_are_sent_as_utf_8(postbox):
    async with listening(plain(b"1")) as enemy:
        await postbox.post(enemy.url, {"x": "\u00e9\t\u4e16"}, b"{}")
    assert "x: \u00e9\t\u4e16\r\n".encode() in enemy.requests[0]


async def test_what_is_reached_through_a_proxy_goes_another_way(postbox, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Surprise, match="proxy"):
        await postbox.post("http://example.test/mcp", HEADERS, b"{}")
