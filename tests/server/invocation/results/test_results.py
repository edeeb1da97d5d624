"""What becomes of a result: cut, kept, checked; over real servers, and against hostile ones."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from toolcrib_registry.errors import InvalidResult, NotFound, ResultTooLarge
from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.results.cutting import CUT_KEY, cut, read_whole, weigh
from toolcrib_server.invocation.results.marking import PROBLEMS_KEY
from toolcrib_server.invocation.results.shelf import PAGE_KEY, ResultShelf

pytestmark = pytest.mark.anyio

SHOP = ServerName("shop")


# --- large results -----------------------------------------------------------------------------


async def test_a_large_text_is_cut_and_the_rest_read_page_by_page(house_in, start_workshop):
    async with house_in({"*": {"inline_bytes": 50_000}}) as house:
        await house.add(start_workshop().server())
        result = await house.call("shop__tell", size=200_000)
        text, note, link = result["content"]
        told = result["_meta"][CUT_KEY]
        assert told["bytes"] == len(("äbcdefgh " * 20_000).encode())
        assert len(json.dumps(result)) < 80_000
        assert f"of the {told['bytes']} bytes" in note["text"]
        assert link["type"] == "resource_link"
        whole, uri = text["text"], link["uri"]
        while uri:
            read = await house.invoker.request(
                SHOP, "resources/read", {"uri": uri}, Asker(face="relay", principal="me")
            )
            whole += read["contents"][0]["text"]
            uri = read["_meta"][PAGE_KEY].get("next")
        assert whole == "äbcdefgh " * 20_000
        with pytest.raises(NotFound):
            house.invoker.read_result(link["uri"], principal="other")
        record = (await house.records())[0]
        assert record.argument_shape["io.toolcrib/call"]["marks"] == ["cut"]
        assert house.invoker.read_path().sums.cuts[SHOP] == 1


async def test_a_result_that_fits_is_untouched(house_in, start_workshop):
    async with house_in() as house:
        await house.add(start_workshop().server())
        result = await house.call("shop__tell", size=200_000)
        assert result["content"] == [{"type": "text", "text": "äbcdefgh " * 20_000}]
        assert CUT_KEY not in result.get("_meta", {})


async def read_on(house: Any, uri: str) -> str:
    text = ""
    while uri:
        read = house.invoker.read_result(uri, principal="me")
        text += read["contents"][0]["text"]
        uri = read["_meta"][PAGE_KEY].get("next")
    return text


@pytest.mark.parametrize("listed", [True, False])
async def test_large_structured_content_is_an_error_only_where_its_tool_was_listed(
    house_in, start_workshop, listed: bool
):
    async with house_in({"*": {"inline_bytes": 20_000}}) as house:
        await house.add(start_workshop().server())
        result = await house.invoker.call(
            "shop__table", {"rows": 50_000}, Asker(face="mcp", principal="me"), listed=listed
        )
        # Clients refuse promised content that is absent; of `call_tool` none is promised.
        assert result.get("isError", False) is listed
        assert "structuredContent" not in result
        # What is marked as an error says first that it is none.
        assert "the call succeeded" in result["content"][0 if listed else 1]["text"]
        text = await read_on(house, result["_meta"][CUT_KEY]["uri"])
        assert json.loads(text) == {"rows": list(range(50_000))}
        (record,) = await house.records()
        assert record.outcome == "ok", "whatever it is marked as, the tool has not failed"


async def test_promised_content_that_fits_stays_though_little_room_is_left(
    house_in, start_workshop
):
    # With its twin as text it is twice the limit; by itself it fits.
    async with house_in({"*": {"inline_bytes": 21_000}}) as house:
        await house.add(start_workshop().server())
        result = await house.invoker.call(
            "shop__table", {"rows": 3_000}, Asker(face="mcp", principal="me"), listed=True
        )
        assert result["structuredContent"] == {"rows": list(range(3_000))}
        assert not result.get("isError")
        text = await read_on(house, result["_meta"][CUT_KEY]["uri"])
        assert json.loads(text) == {"rows": list(range(3_000))}


def cut_whole(result: dict[str, Any], limit: int, *, promises: bool = False) -> dict[str, Any]:
    whole = read_whole(result, weigh(result), limit=limit, promised=promises)
    kept = ResultShelf().put(
        "me", whole.text, media_type=whole.media_type, page_bytes=whole.page_bytes
    )
    return cut(result, whole, kept, tool="shop__read")


def test_what_is_no_text_stays() -> None:
    image = {"type": "image", "data": "A" * 100_000, "mimeType": "image/png"}
    blob = {"type": "resource", "resource": {"uri": "x://y", "blob": "B" * 100_000}}
    inner = {"type": "resource", "resource": {"uri": "x://z", "text": "t" * 3000}}
    result = {
        "content": [{"type": "text", "text": "s" * 3000}, image, blob, inner],
        "_meta": {1: 2},
    }
    assert weigh(result).total == 6000
    small = cut_whole(result, 2000)
    assert [block["type"] for block in small["content"]] == [
        *("text", "image", "resource", "text", "resource_link")
    ]
    assert small["content"][1:3] == [image, blob]
    assert small["_meta"][1] == 2


def test_structured_content_that_is_small_stays_whole() -> None:
    result = {"content": [{"type": "text", "text": "s" * 9000}], "structuredContent": {"n": 1}}
    small = cut_whole(result, 2000, promises=True)
    assert small["structuredContent"] == {"n": 1}
    assert "isError" not in small


def test_a_twin_of_the_text_is_not_told_twice() -> None:
    value = {"rows": ["r" * 100] * 30}
    result = {
        "content": [{"type": "text", "text": json.dumps(value, indent=1)}],
        "structuredContent": value,
    }
    small = cut_whole(result, 4000)
    assert len(small["content"]) == 1, "all is shown: there is nothing to read on"
    assert json.loads(small["content"][0]["text"]) == value
    assert "structuredContent" not in small


def test_what_is_marked_as_an_error_for_its_form_always_says_so_first() -> None:
    value = {"n": [1] * 700}
    written = json.dumps(value, separators=(",", ":"))
    result = {"content": [{"type": "text", "text": written}], "structuredContent": value}
    small = cut_whole(result, 2000, promises=True)
    assert small["isError"] is True
    note, text = small["content"]
    assert "the call succeeded" in note["text"]
    assert json.loads(text["text"]) == value


async def test_a_result_of_100_mb_is_refused_or_cut_as_the_limit_says(house_in, raw_server):
    size = 100 * 1024 * 1024
    server = raw_server({"content": [{"type": "text", "text": "x" * size}]})
    async with house_in() as house:
        await house.add(server)
        with pytest.raises(ResultTooLarge):
            await house.call("raw__odd")
        await house.call("raw__odd", small=True)  # nothing was broken by it
    async with house_in({"*": {"queue": 1}}, max_message_bytes=2 * size) as house:
        result = await house.call("raw__odd")
        assert result["_meta"][CUT_KEY]["bytes"] == size
        assert len(result["content"][0]["text"]) == 1024 * 1024
        assert house.invoker.read_path().kept_bytes <= 64 * 1024 * 1024


# --- promises ----------------------------------------------------------------------------------


@pytest.fixture
def raw_server(serve_app) -> Any:
    """Describe a server whose one tool answers as told, whatever it promises."""

    def make(result: dict[str, Any], schema: dict[str, Any] | None = None) -> Server:
        app = Odd(result, schema)
        url = f"http://127.0.0.1:{serve_app(app)}/mcp"
        return Server(name=ServerName("raw"), transport=HttpTransport(url))

    return make


class Odd:
    """An ASGI application: a server of 2026-07-28 with one tool."""

    def __init__(self, result: dict[str, Any], schema: dict[str, Any] | None) -> None:
        self.result = result
        self.tool: dict[str, Any] = {"name": "odd", "inputSchema": {"type": "object"}}
        if schema is not None:
            self.tool["outputSchema"] = schema
        self.tool["annotations"] = {"readOnlyHint": True}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        request = json.loads(body)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": self._answer(request)}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "server/discover":
            versions = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            return {**versions, "resultType": "complete"}
        if request["method"] == "tools/list":
            return {"tools": [self.tool], "resultType": "complete"}
        if request["params"]["arguments"].get("small"):
            return {"content": [], "structuredContent": {"n": 1}, "resultType": "complete"}
        return {**self.result, "resultType": "complete"}


PROMISE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def test_a_result_that_breaks_its_promise_is_handed_on_and_marked(house_in, raw_server):
    server = raw_server({"content": [], "structuredContent": {"n": "one"}}, PROMISE)
    async with house_in() as house:
        await house.add(server)
        result = await house.call("raw__odd")
        assert result["structuredContent"] == {"n": "one"}
        assert result["_meta"][PROBLEMS_KEY] == ["n: is string"]
        good = await house.call("raw__odd", small=True)
        assert PROBLEMS_KEY not in good.get("_meta", {})
        records = await house.records()
        assert records[1].argument_shape["io.toolcrib/call"]["marks"] == ["misfit"]


async def test_where_the_policy_says_so_a_broken_promise_is_an_error(house_in, raw_server):
    server = raw_server({"content": []}, PROMISE)
    async with house_in({"raw": {"output": "refuse"}}) as house:
        await house.add(server)
        with pytest.raises(InvalidResult, match="structuredContent: is missing") as caught:
            await house.call("raw__odd")
        assert "may have taken effect" in caught.value.detail


async def test_an_error_promises_nothing(house_in, raw_server):
    server = raw_server({"content": [], "isError": True}, PROMISE)
    async with house_in({"raw": {"output": "refuse"}}) as house:
        await house.add(server)
        assert (await house.call("raw__odd"))["isError"] is True


BOMBS: list[tuple[str, dict[str, Any], Any]] = [
    (
        "a pattern that never ends",
        {"properties": {"s": {"pattern": "^(a+)+$"}}},
        {"s": "a" * 5000 + "!"},
    ),
    (
        "definitions that double at each level",
        {
            "$ref": "#/$defs/d0",
            "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
            | {"d60": {"type": "object"}},
        },
        {},
    ),
    ("a definition of itself", {"$ref": "#"}, {}),
    ("a million items", {"properties": {"l": {"items": {}}}}, {"l": [0] * 1_000_000}),
    (
        "the same items compared a thousand times",
        {"properties": {"l": {"allOf": [{"uniqueItems": True}] * 1000}}},
        {"l": [f"item {n}" for n in range(100_000)]},
    ),
    ("a reference to what is no schema", {"$ref": "#/required", "required": ["x"]}, {}),
    ("a reference to elsewhere", {"$ref": "https://example.com/schema.json"}, {}),
    ("a dynamic reference to nothing", {"$dynamicRef": "#nowhere"}, {}),
]


@pytest.mark.parametrize(("schema", "value"), [b[1:] for b in BOMBS], ids=[b[0] for b in BOMBS])
async def test_no_output_schema_keeps_a_result_or_the_process_waiting(
    house_in, raw_server, schema, value
):
    server = raw_server({"content": [], "structuredContent": value}, {"type": "object", **schema})
    async with house_in({"*": {"inline_bytes": 0}}) as house:
        await house.add(server)
        started = time.process_time()
        result = await house.call("raw__odd")
        assert result["structuredContent"] == value
        # Three seconds are far above what it takes, and far below what a bomb would.
        assert time.process_time() - started < 3


# --- kept results ------------------------------------------------------------------------------


async def test_a_read_only_tool_is_answered_from_the_cache_while_it_is_young(
    house_in, start_workshop
):
    running = start_workshop()
    async with house_in({"shop": {"cache_s": 60}}) as house:
        await house.add(running.server())
        first = await house.call("shop__read", text="x")
        again = await house.call("shop__read", text="x")
        assert again["structuredContent"] == first["structuredContent"]
        assert again["_meta"]["io.toolcrib/ageMs"] >= 0
        assert "io.toolcrib/ageMs" not in first.get("_meta", {})
        await house.call("shop__read", text="y")
        await house.call("shop__read", text="x", principal="other")
        for _ in range(2):
            await house.call("shop__write", text="x")
            await house.call("shop__put", text="x")
        records = await house.records()
        path = house.invoker.read_path()
    assert running.workshop.calls == {"read": 3, "write": 2, "put": 2}
    assert path.sums.cache_hits[SHOP] == 1
    assert path.cached_bytes > 0
    cached = [r for r in records if r.argument_shape["io.toolcrib/call"].get("cached")]
    assert [record.outcome for record in cached] == ["ok"]


async def test_what_is_declared_public_is_kept_for_all(house_in, start_workshop):
    running = start_workshop()
    async with house_in({"shop__read": {"cache_s": 60, "cache_shared": True}}) as house:
        await house.add(running.server())
        for who in ("me", "you"):
            await house.call("shop__read", text="x", principal=who)
    assert running.workshop.calls["read"] == 1


async def test_without_a_policy_nothing_is_kept_and_errors_never_are(
    house_in, start_workshop, raw_server
):
    running = start_workshop()
    server = raw_server({"content": [], "isError": True})
    async with house_in({"raw": {"cache_s": 60}}) as house:
        await house.add(running.server())
        await house.add(server)
        for _ in range(2):
            await house.call("shop__read", text="x")
            assert "_meta" not in await house.call("raw__odd")
    assert running.workshop.calls["read"] == 2


@pytest.fixture
def serve_app(serve_asgi) -> Iterator[Any]:
    """Serve applications until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda app: serve_asgi(stack, app)
