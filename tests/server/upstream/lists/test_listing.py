"""What a server lists: all of it, and only what is sound."""

import functools
import json
import time

import pytest

from toolcrib_registry.types import EntryKind
from toolcrib_server.upstream.connecting.era import Greeting
from toolcrib_server.upstream.failures import BadAnswer, RpcFailure
from toolcrib_server.upstream.lists import listing as listing_module
from toolcrib_server.upstream.lists.listing import read_listing
from toolcrib_server.upstream.lists.schemas import SchemaCheck

pytestmark = pytest.mark.anyio

ALL = {"tools": {}, "prompts": {}, "resources": {}}
SCHEMA = {"type": "object"}


async def read(answers, *, capabilities=ALL, version="2026-07-28"):
    """List a server that gives these answers; a list of them is given page by page."""

    async def ask(method, params):
        answer = answers.get(method, RpcFailure(-32601, "Method not found"))
        if isinstance(answer, list):
            answer = answer[int(params.get("cursor", 0))]
        if isinstance(answer, Exception):
            raise answer
        return answer

    greeting = Greeting(protocol_version=version, capabilities=capabilities)
    return await read_listing(ask, greeting, check=SchemaCheck())


async def read_tools(*tools):
    return await read({"tools/list": {"tools": list(tools)}})


async def why(tool):
    """Why this one tool was set aside."""
    good = {"name": "good", "inputSchema": SCHEMA}
    found = await read_tools(good, tool)
    assert found.tools == (good,)
    (aside,) = found.malformed
    json.dumps([aside.name, aside.reason]).encode("utf-8")
    return aside.reason


async def test_every_list_is_read_and_objects_are_not_touched():
    tool = {
        "name": "a",
        "inputSchema": {"type": "object", "$defs": {"x": {"$ref": "http://far.example/s"}}},
        "annotations": {"readOnlyHint": True},
        "x-own": [1, None],
        "_meta": {"k": 1},
    }
    found = await read(
        {
            "tools/list": {"tools": [tool], "ttlMs": 5000},
            "prompts/list": {"prompts": [{"name": "p"}], "ttlMs": 100},
            "resources/list": {"resources": [{"uri": "f://x", "name": "x"}]},
            "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "f://{x}"}]},
        }
    )
    assert found.tools == (tool,)
    assert found.prompts == ({"name": "p"},)
    assert found.resources == ({"uri": "f://x", "name": "x"},)
    assert found.templates == ({"uriTemplate": "f://{x}"},)
    assert found.malformed == ()
    assert found.ttl_ms == 100


async def test_only_what_is_declared_is_asked_for():
    found = await read(
        {"tools/list": RpcFailure(-1, "never asked"), "prompts/list": {"prompts": []}},
        capabilities={"prompts": {}},
    )
    assert found.tools == ()


async def test_a_server_that_declares_nothing_may_still_have_tools():
    found = await read(
        {"tools/list": {"tools": [{"name": "a", "inputSchema": {}}]}}, capabilities={}
    )
    assert len(found.tools) == 1


async def test_tools_are_served_though_another_list_fails():
    found = await read(
        {
            "tools/list": {"tools": [{"name": "a", "inputSchema": SCHEMA}]},
            "resources/list": RpcFailure(-32000, "log in first"),
        }
    )
    assert len(found.tools) == 1
    (aside,) = found.malformed
    assert (aside.kind, aside.name) == (EntryKind.RESOURCE, "*")
    assert "log in first" in aside.reason


async def test_tools_that_cannot_be_listed_are_an_error():
    with pytest.raises(RpcFailure):
        await read({"tools/list": RpcFailure(-32000, "log in first")})


DEEP = functools.reduce(lambda inner, _: {"properties": {"a": inner}}, range(150), SCHEMA)
BOTTOMLESS = functools.reduce(lambda inner, _: [inner], range(5000), [])


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({}, "has no name"),
        ({"name": ""}, "has no name"),
        ({"name": "  "}, "has no name"),
        ({"name": 5}, "has no name"),
        ({"name": "a\u202eb"}, "invisible character (U+202E)"),
        ({"name": "a\nb"}, "invisible character (U+000A)"),
        ({"name": "a\u200bb"}, "invisible character (U+200B)"),
        ({"name": "x" * 513}, "513 characters"),
        ({"name": "a\ud800"}, "not Unicode"),
        ({"name": "a", "description": "x\ud800"}, "not Unicode"),
        ({"name": "a", "description": "x\0y"}, "NUL"),
        ({"name": "a", "description": 5}, "description is not a string"),
        ({"name": "a", "annotations": []}, "annotations is not an object"),
        ({"name": "a", "icons": {}}, "icons is not a list"),
        ({"name": "a", "_meta": 1}, "_meta is not an object"),
        ({"name": "a"}, "inputSchema is missing"),
        ({"name": "a", "inputSchema": []}, "inputSchema is missing or not an object"),
        ({"name": "a", "inputSchema": {"type": "array"}}, "does not describe an object"),
        ({"name": "a", "inputSchema": {"required": "x"}}, "not JSON Schema: 'x' is not of type"),
        ({"name": "a", "inputSchema": {"properties": {"b": {"type": "int"}}}}, "properties/b"),
        ({"name": "a", "inputSchema": DEEP}, "more than 100 deep"),
        ({"name": "a", "inputSchema": SCHEMA, "x": BOTTOMLESS}, "nested too deeply"),
        (
            {"name": "a", "inputSchema": {"enum": list(range(10_001))}},
            "more than 10000 parts",
        ),
        ({"name": "a", "inputSchema": SCHEMA, "outputSchema": 5}, "outputSchema is not an object"),
        (
            {"name": "a", "inputSchema": SCHEMA, "outputSchema": {"type": 5}},
            "outputSchema is not JSON Schema",
        ),
        ({"name": "a", "inputSchema": SCHEMA, "x": float("nan")}, "not JSON"),
        ({"name": "a", "inputSchema": SCHEMA, "x": "y" * 1024 * 1024}, "the limit is 1048576"),
        (
            {
                "name": "a",
                "inputSchema": {"properties": {"b": {"type": "string", "x-mcp-header": "no way"}}},
            },
            "invalid x-mcp-header",
        ),
    ],
)
async def test_a_malformed_tool_is_set_aside_alone_with_its_reason(tool, words):
    started = time.process_time()
    assert words in await why(tool)
    assert time.process_time() - started < 5


async def test_the_escaped_text_of_a_nul_is_no_nul():
    tool = {"name": "a", "description": "write \\u0000", "inputSchema": SCHEMA}
    assert (await read_tools(tool)).tools == (tool,)


@pytest.mark.parametrize("name", ["a/b", "a b", "naïve", "工具", "x" * 200, "a__b", "A.b-c_d"])
async def test_unusual_names_are_kept(name):
    assert len((await read_tools({"name": name, "inputSchema": SCHEMA})).tools) == 1


async def test_an_older_schema_dialect_is_checked_as_what_it_is():
    number = {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    old = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"n": number},
    }
    assert len((await read_tools({"name": "a", "inputSchema": old})).tools) == 1


async def test_the_first_of_two_with_one_name_is_kept():
    first = {"name": "a", "description": "first", "inputSchema": SCHEMA}
    assert (
        "listed before"
        in (await read_tools(first, {**first, "description": "second"})).malformed[0].reason
    )
    assert (await read_tools(first, {**first, "description": "second"})).tools == (first,)


async def test_a_name_may_be_on_two_lists():
    found = await read(
        {
            "tools/list": {"tools": [{"name": "a", "inputSchema": SCHEMA}]},
            "prompts/list": {"prompts": [{"name": "a"}]},
        }
    )
    assert found.malformed == ()


# --- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({"tools": [], "nextCursor": "0"}, "repeats a cursor in tools/list"),
        ({"tools": [], "nextCursor": 5}, "a cursor that is no string"),
        ({"tools": {}}, "without a list of tools"),
        ({}, "without a list of tools"),
    ],
)
async def test_pages_that_cannot_be_followed_are_an_error(pages, words):
    with pytest.raises(BadAnswer, match=words):
        await read({"tools/list": pages})


async def test_endless_pages_are_an_error():
    endless = [{"tools": [], "nextCursor": str(page + 1)} for page in range(2000)]
    with pytest.raises(BadAnswer, match="more than 1000 pages"):
        await read({"tools/list": endless})


async def test_too_many_tools_are_an_error():
    started = time.process_time()
    tools = [{"name": f"t{n}", "inputSchema": SCHEMA} for n in range(50_000)]
    with pytest.raises(BadAnswer, match="more than 20000 tools"):
        await read({"tools/list": {"tools": tools}})
    assert time.process_time() - started < 5


async def test_twenty_thousand_tools_are_listed_in_seconds():
    tools = [{"name": f"t{n}", "inputSchema": SCHEMA} for n in range(listing_module.MAX_OBJECTS)]
    started = time.process_time()
    assert len((await read({"tools/list": {"tools": tools}})).tools) == 20_000
    assert time.process_time() - started < 5


# --- caching and pagination --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "ttl_ms"),
    [
        (0, 0),
        (5000, 5000),
        (1.9, 1),
        (-5, 0),
        (10**30, 7 * 24 * 3_600_000),
        (float("inf"), 7 * 24 * 3_600_000),
        (float("-inf"), 0),
        (float("nan"), None),
        ("5000", None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
async def test_how_long_a_list_stays_fresh_is_taken_with_care(stated, ttl_ms):
    found = await read({"tools/list": {"tools": [], "ttlMs": stated}}, capabilities={"tools": {}})
    assert found.ttl_ms == ttl_ms


@pytest.mark.parametrize(
    ("scopes", "scope"),
    [
        (("public", "public"), "public"),
        (("public", "private"), "private"),
        (("private", None), "private"),
        (("public", None), None),
        ((None, None), None),
        (("public", "Public"), "private"),
        (("public", 5), "private"),
        (("public", {}), "private"),
    ],
)
async def test_one_private_page_makes_all_of_it_private(scopes, scope):
    first, second = ({} if each is None else {"cacheScope": each} for each in scopes)
    pages = [{"tools": [], "nextCursor": "1", **first}, {"tools": [], **second}]
    found = await read({"tools/list": pages}, capabilities={"tools": {}})
    assert found.cache_scope == scope


async def read_by_cursor(answers, *, version):
    """List tools from a server that gives these answers by cursor, in turn."""

    async def ask(method, params):
        answer = answers[params.get("cursor")].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    greeting = Greeting(protocol_version=version, capabilities={"tools": {}})
    listing = await read_listing(ask, greeting, check=SchemaCheck())
    return [tool["name"] for tool in listing.tools]


def page(name, **more):
    return {"tools": [{"name": name, "inputSchema": SCHEMA}], **more}


async def test_an_empty_cursor_is_one_like_any_other_since_2026():
    answers = {None: [page("a", nextCursor="")], "": [page("b")]}
    assert await read_by_cursor(answers, version="2026-07-28") == ["a", "b"]


async def test_an_empty_cursor_ended_the_list_before():
    answers = {None: [page("a", nextCursor="")]}
    assert await read_by_cursor(answers, version="2025-11-25") == ["a"]


async def test_a_cursor_that_is_dropped_on_the_way_starts_the_list_anew():
    dropped = RpcFailure(-32602, "Invalid cursor")
    answers = {
        None: [page("a", nextCursor="1"), page("b", nextCursor="2")],
        "1": [dropped],
        "2": [page("c")],
    }
    assert await read_by_cursor(answers, version="2026-07-28") == ["b", "c"]


async def test_a_cursor_that_is_always_dropped_is_an_error():
    dropped = RpcFailure(-32602, "Invalid cursor")
    answers = {None: [page("a", nextCursor="1")] * 2, "1": [dropped, dropped]}
    with pytest.raises(RpcFailure):
        await read_by_cursor(answers, version="2026-07-28")
