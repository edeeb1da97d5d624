"""Prompts and resources of all servers through one face: names, pages, and whose a URI is."""

from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ResourceLink

from toolcrib_registry.types import (
    CatalogTransport,
    EntryChanges,
    EntryKind,
    HttpTransport,
    Prompt,
    Resource,
    Server,
    ServerHealth,
    ServerName,
    qualified_name,
)
from toolcrib_server.downstream.service import Client, Request, RpcError
from toolcrib_server.gateway.lists import PAGE_SIZE, SERVER_KEY

from ..serving import served
from .conftest import follow, house

pytestmark = pytest.mark.anyio

ADA = Client(principal="ada", version="2026-07-28")
OLD_INFO = {"name": "old", "version": "1"}
OLD = Client(principal="ada", version="2025-11-25", session="s", info=OLD_INFO)


def desk(name: str) -> MCPServer:
    """A server with a prompt, resources of its own and one that every such server has."""
    server = MCPServer(name)

    @server.prompt()
    def greet(who: str) -> str:
        """Greet somebody."""
        return f"{name} greets {who}"

    @server.resource(f"{name}://about")
    def about() -> str:
        """Its own."""
        return f"about {name}"

    @server.resource("shared://readme")
    def readme() -> str:
        """Everybody's."""
        return f"readme of {name}"

    @server.resource(f"{name}://note/{{number}}")
    def note(number: str) -> str:
        """A note."""
        return f"note {number} of {name}"

    @server.resource("shared://page/{number}")
    def page(number: str) -> str:
        """A page."""
        return f"page {number} of {name}"

    @server.tool()
    async def touch(ctx: Context) -> str:
        """Change what both have."""
        await ctx.notify_resource_updated("shared://readme")
        return "touched"

    @server.tool()
    def point() -> ResourceLink:
        """Link to what is listed nowhere."""
        return ResourceLink(type="resource_link", name="page", uri="shared://page/9")

    return server


@dataclass
class Front:
    """The service, and what it says meanwhile."""

    runtime: Any
    told: list[Any] = field(default_factory=list)

    async def send(self, method: str, client: Client = ADA, **params: Any) -> Any:
        async def notify(method: str, params: Any) -> None:
            self.told.append((method, params))

        request = Request(method=method, params=params, client=client, notify=notify)
        return await self.runtime.gateway.handle(request)

    async def fail(self, method: str, code: int, client: Client = ADA, **params: Any) -> RpcError:
        with pytest.raises(RpcError) as caught:
            await self.send(method, client, **params)
        assert caught.value.code == code, caught.value
        return caught.value

    async def read(self, uri: str, **params: Any) -> str:
        return (await self.send("resources/read", uri=uri, **params))["contents"][0]["text"]


@pytest.fixture(scope="module")
def servers() -> Generator[list[tuple[str, HttpTransport]]]:
    """Two desks, served from another thread for all tests."""
    with start_blocking_portal() as portal, ExitStack() as stack:
        found = []
        for name in ("left", "right"):
            app = desk(name).streamable_http_app()
            url = stack.enter_context(portal.wrap_async_context_manager(served(app)))
            found.append((name, HttpTransport(f"{url}/mcp")))
        yield found


@pytest.fixture
async def front(tmp_path: Path, servers: Any) -> AsyncGenerator[Front]:
    async with house(tmp_path, servers) as runtime:
        yield Front(runtime)


def add_catalogue(front: Front, name: str, entries: list[Any]) -> None:
    """Register a server that lists these, without one to ask."""
    transport = HttpTransport("http://127.0.0.1:9/mcp")
    server = Server(name=ServerName(name), transport=transport)
    front.runtime.store.add_server(server, actor="test")
    health = ServerHealth(synced_at=datetime.now(UTC))
    changes = EntryChanges(server=server.name, upserts=tuple(entries))
    front.runtime.store.apply(changes, actor="test", health=health)


def prompt(server: str, name: str) -> Prompt:
    definition = {"name": name, "icons": [{"src": "data:,"}], "vendor": {"x": 1}}
    public = qualified_name(server, name)
    return Prompt(name=public, server=ServerName(server), local_name=name, definition=definition)


# --- prompts -------------------------------------------------------------------------------------


async def test_a_prompt_is_named_after_its_server_and_asked_for_so(front):
    listed = (await front.send("prompts/list"))["prompts"]
    assert [each["name"] for each in listed] == ["left__greet", "right__greet"]
    got = await front.send("prompts/get", name="right__greet", arguments={"who": "Ada"})
    assert got["messages"][0]["content"]["text"] == "right greets Ada"


async def test_a_prompt_that_is_not_there_has_its_neighbours_named(front):
    error = await front.fail("prompts/get", -32602, name="right__gret")
    assert "right__greet" in error.message
    await front.fail("prompts/get", -32602)
    await front.fail("prompts/get", -32602, name=5)


async def test_what_is_disabled_is_neither_listed_nor_given(front):
    store = front.runtime.store
    store.set_entry_enabled(EntryKind.PROMPT, "left__greet", enabled=False, actor="test")
    await front.runtime.describe()
    listed = (await front.send("prompts/list"))["prompts"]
    assert [each["name"] for each in listed] == ["right__greet"]
    error = await front.fail("prompts/get", -32602, name="left__greet", arguments={"who": "x"})
    assert "disabled" in error.message


# --- lists ---------------------------------------------------------------------------------------


async def test_long_lists_come_in_pages_whose_order_stays(front):
    names = [f"p{number:05}" for number in range(2 * PAGE_SIZE)]
    add_catalogue(front, "many", [prompt("many", name) for name in names])
    await front.runtime.describe()
    seen, cursor, sizes = [], {}, []
    while True:
        page = await front.send("prompts/list", **cursor)
        seen += [each["name"] for each in page["prompts"]]
        sizes.append(len(page["prompts"]))
        assert (page["ttlMs"], page["cacheScope"]) == (60_000, "private")
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert sizes == [PAGE_SIZE, PAGE_SIZE, 2]
    assert seen == sorted(["left__greet", "right__greet", *[f"many__{name}" for name in names]])
    assert page["prompts"][0]["name"] > "many__p00490"


async def test_a_cursor_stays_good_when_what_it_named_is_gone(front):
    add_catalogue(front, "many", [prompt("many", f"p{at:03}") for at in range(PAGE_SIZE)])
    await front.runtime.describe()
    cursor = (await front.send("prompts/list"))["nextCursor"]
    front.runtime.store.remove_server(ServerName("many"), actor="test")
    await front.runtime.describe()
    rest = await front.send("prompts/list", cursor=cursor)
    assert [each["name"] for each in rest["prompts"]] == ["right__greet"]


@pytest.mark.parametrize("method", ["prompts/list", "resources/list", "resources/templates/list"])
@pytest.mark.parametrize("cursor", ["", "tool:x", 5, "nonsense"])
async def test_a_foreign_cursor_is_refused(front, method, cursor):
    await front.fail(method, -32602, cursor=cursor)


async def test_the_list_of_tools_has_one_page(front):
    assert len((await front.send("tools/list"))["tools"]) == 5
    await front.fail("tools/list", -32602, cursor="x")


async def test_a_definition_is_shown_as_it_was_listed(front):
    add_catalogue(front, "more", [prompt("more", "odd")])
    await front.runtime.describe()
    odd = (await front.send("prompts/list"))["prompts"][1]
    assert odd == {"name": "more__odd", "icons": [{"src": "data:,"}], "vendor": {"x": 1}}


async def test_an_imported_catalogue_lists_nothing_that_could_not_be_used(front):
    entries = [prompt("files", "hello")]
    server = Server(name=ServerName("files"), transport=CatalogTransport("x.jsonl"))
    front.runtime.store.add_server(server, actor="test")
    front.runtime.store.apply(
        EntryChanges(server=server.name, upserts=tuple(entries)), actor="test"
    )
    await front.runtime.describe()
    listed = (await front.send("prompts/list"))["prompts"]
    assert "files__hello" not in [each["name"] for each in listed]


# --- resources -----------------------------------------------------------------------------------


async def test_a_resource_keeps_its_uri_and_says_whose_it_is(front):
    listed = (await front.send("resources/list"))["resources"]
    owners = [(each["uri"], each["_meta"][SERVER_KEY]) for each in listed]
    assert owners == [
        ("left://about", "left"),
        ("toolcrib://servers/left/shared://readme", "left"),
        ("right://about", "right"),
        ("toolcrib://servers/right/shared://readme", "right"),
    ]
    assert await front.read("right://about") == "about right"


async def test_every_listed_uri_is_one_of_its_own_and_read_without_a_question(front):
    for each in (await front.send("resources/list"))["resources"]:
        read = await front.send("resources/read", uri=each["uri"])
        (content,) = read["contents"]
        assert content["uri"] == each["uri"]
        assert each["_meta"][SERVER_KEY] in content["text"]
    templates = (await front.send("resources/templates/list"))["resourceTemplates"]
    shapes = [each["uriTemplate"] for each in templates]
    assert len(set(shapes)) == len(shapes) == 4
    for each in templates:
        uri = each["uriTemplate"].replace("{number}", "5")
        assert (await front.read(uri)).endswith(f"5 of {each['_meta'][SERVER_KEY]}")


async def test_an_address_stays_good_when_nobody_else_has_the_uri_any_more(front):
    left = "toolcrib://servers/left/shared://readme"
    front.runtime.store.remove_server(ServerName("right"), actor="test")
    await front.runtime.describe()
    uris = [each["uri"] for each in (await front.send("resources/list"))["resources"]]
    assert uris == ["left://about", "shared://readme"]
    assert await front.read(left) == await front.read("shared://readme") == "readme of left"
    await front.fail("resources/read", -32602, uri="toolcrib://servers/right/shared://readme")
    for odd in ("toolcrib://servers/", "toolcrib://servers/left", "toolcrib://servers/left/"):
        await front.fail("resources/read", -32602, uri=odd)


async def test_a_resource_of_a_servers_own_that_looks_like_an_address_is_no_other_ones(front):
    theirs = "toolcrib://servers/left/shared://readme"
    definition = {"uri": theirs, "name": "readme"}
    name = qualified_name("evil", theirs)
    add_catalogue(
        front,
        "evil",
        [Resource(name=name, server=ServerName("evil"), local_name=theirs, definition=definition)],
    )
    await front.runtime.describe()
    listed = {
        each["uri"]: each["_meta"][SERVER_KEY]
        for each in (await front.send("resources/list"))["resources"]
    }
    assert listed[theirs] == "left"
    assert listed[f"toolcrib://servers/evil/{theirs}"] == "evil"


async def test_a_uri_of_two_servers_is_refused_until_one_is_named(front):
    error = await front.fail("resources/read", -32602, uri="shared://readme")
    assert "left, right" in error.message
    uris = [f"toolcrib://servers/{name}/shared://readme" for name in ("left", "right")]
    assert error.data == {"uri": "shared://readme", "servers": ["left", "right"], "uris": uris}
    assert uris[1] in error.message
    assert await front.read(uris[1]) == "readme of right"
    meant = {"_meta": {SERVER_KEY: "right"}}
    assert await front.read("shared://readme", **meant) == "readme of right"
    unknown = {"_meta": {SERVER_KEY: "rigth"}}
    error = await front.fail("resources/read", -32602, uri="shared://readme", **unknown)
    assert "right" in error.message


async def test_a_template_tells_whose_a_uri_is(front):
    assert await front.read("left://note/5") == "note 5 of left"
    error = await front.fail("resources/read", -32602, uri="shared://page/5")
    assert "left, right" in error.message
    assert [await front.read(uri) for uri in error.data["uris"]] == [
        "page 5 of left",
        "page 5 of right",
    ]


async def test_what_a_tool_linked_to_is_read_from_its_server(front):
    await front.fail("resources/read", -32602, uri="shared://page/9")
    await front.send("tools/call", name="call_tool", arguments={"name": "right__point"})
    assert await front.read("shared://page/9") == "page 9 of right"
    other = Client(principal="bob", version="2026-07-28")
    await front.fail("resources/read", -32602, other, uri="shared://page/9")


async def test_nobodys_uri_is_not_found_in_the_words_of_either_era(front):
    error = await front.fail("resources/read", -32602, uri="left://nothing")
    assert error.data == {"uri": "left://nothing"}
    await front.fail("resources/read", -32002, OLD, uri="left://nothing")
    for client, code in ((ADA, -32602), (OLD, -32002)):  # in its server's own words
        meant = {"uri": "left://nothing", "_meta": {SERVER_KEY: "left"}}
        await front.fail("resources/read", code, client, **meant)
    await front.fail("resources/read", -32602)


async def test_a_uri_that_is_withheld_cannot_be_read_in_any_way(front):
    store = front.runtime.store
    for entry in store.iter_entries(kind=EntryKind.RESOURCE):
        assert isinstance(entry, Resource)
        if entry.local_name in {"left://about", "left://note/{number}"}:
            store.set_entry_enabled(EntryKind.RESOURCE, entry.name, enabled=False, actor="test")
    front.runtime.invoker.forget()
    await front.runtime.describe()
    listed = await front.send("resources/list")
    assert "left://about" not in [each["uri"] for each in listed["resources"]]
    templates = (await front.send("resources/templates/list"))["resourceTemplates"]
    assert "left://note/{number}" not in [each["uriTemplate"] for each in templates]
    assert "disabled" in (await front.fail("resources/read", -32602, uri="left://about")).message
    await front.fail("resources/read", -32602, uri="left://note/5")
    for uri in ("left://about", "left://note/5"):
        meant = {"uri": uri, "_meta": {SERVER_KEY: "left"}}
        await front.fail("resources/read", -32602, **meant)


async def test_a_server_that_is_disabled_takes_all_its_own_along(front):
    server = front.runtime.store.get_server(ServerName("left"))
    front.runtime.store.update_server(replace(server, enabled=False), actor="test")
    await front.runtime.describe()
    assert await front.read("shared://readme") == "readme of right"
    assert len((await front.send("resources/list"))["resources"]) == 2


async def test_a_completion_asks_whoever_has_the_reference(front):
    argument = {"argument": {"name": "who", "value": "A"}}
    ref = {"type": "ref/prompt", "name": "left__greet"}
    error = await front.fail("completion/complete", -32601, ref=ref, **argument)
    assert error.message  # the server's own: it completes nothing
    for odd in ({}, {"type": "ref/tool", "name": "x"}, {"type": "ref/prompt"}, None):
        await front.fail("completion/complete", -32602, ref=odd, **argument)


async def test_a_task_is_asked_after_at_its_own_server(front):
    await front.fail("tasks/get", -32602, taskId="no-server-named")
    await front.fail("tasks/get", -32602, taskId="nobody:1")
    await front.fail("tasks/get", -32601, taskId="left:1")  # which knows no tasks


async def test_an_unknown_method_is_unknown(front):
    await front.fail("vendor/anything", -32601)


# --- changes -------------------------------------------------------------------------------------


class Ear:
    """Listens, and waits for what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._news = anyio.Event()

    async def hear(self, method: str, params: Any) -> None:
        self.told.append((method, params))
        self._news.set()
        self._news = anyio.Event()

    async def wait(self, count: int) -> list[Any]:
        with anyio.fail_after(30):
            while len(self.told) < count:
                await self._news.wait()
        return self.told


@asynccontextmanager
async def listening(front: Front, wanted: Any):
    ear = Ear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(front.runtime.gateway.listen, ADA, wanted, ear.hear))
        await ear.wait(1)
        yield ear
        tasks.cancel_scope.cancel()


async def test_each_list_is_told_of_when_it_changes_and_only_then(front):
    every = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
    async with (
        listening(front, every) as ear,
        listening(front, {"promptsListChanged": True, "odd": True}) as prompts,
    ):
        assert ear.told == [("notifications/subscriptions/acknowledged", {"notifications": every})]
        agreed = {"notifications": {"promptsListChanged": True}}
        assert prompts.told[0][1] == agreed
        store = front.runtime.store
        await front.runtime.describe()  # nothing has changed
        store.set_entry_enabled(EntryKind.PROMPT, "left__greet", enabled=False, actor="test")
        await front.runtime.describe()
        assert (await ear.wait(2))[1] == ("notifications/prompts/list_changed", {})
        store.remove_server(ServerName("left"), actor="test")
        await front.runtime.describe()
        await ear.wait(5)
        assert {method for method, _ in ear.told[2:]} == {
            "notifications/tools/list_changed",
            "notifications/prompts/list_changed",
            "notifications/resources/list_changed",
        }
        await prompts.wait(3)
        assert {method for method, _ in prompts.told[1:]} == {"notifications/prompts/list_changed"}


async def test_a_resource_is_listened_to_under_the_name_that_the_client_gave_it(front):
    right = "toolcrib://servers/right/shared://readme"
    async with listening(front, {"resourceSubscriptions": [right]}) as ear:
        assert ear.told[0][1] == {"notifications": {"resourceSubscriptions": [right]}}
        await front.send("tools/call", name="call_tool", arguments={"name": "left__touch"})
        await front.send("tools/call", name="call_tool", arguments={"name": "right__touch"})
        assert (await ear.wait(2))[1:] == [("notifications/resources/updated", {"uri": right})]


async def test_what_nobody_has_is_not_agreed_to_and_an_empty_wish_ends(front):
    ear = Ear()
    wanted = {"resourceSubscriptions": ["nobody://x"], "taskIds": ["nobody:1", "odd"]}
    with anyio.fail_after(30):
        await front.runtime.gateway.listen(ADA, wanted, ear.hear)
    assert ear.told == [("notifications/subscriptions/acknowledged", {"notifications": {}})]


async def test_more_is_not_listened_to_than_is_fit(front):
    wanted = {"resourceSubscriptions": [f"left://{number}" for number in range(1_001)]}
    with pytest.raises(RpcError, match="at most"):
        await front.runtime.gateway.listen(ADA, wanted, Ear().hear)


async def test_a_sync_is_followed(front):
    async with listening(front, {"promptsListChanged": True}) as ear:
        add_catalogue(front, "late", [prompt("late", "one")])
        await follow(front.runtime)
        await ear.wait(2)
        listed = (await front.send("prompts/list"))["prompts"]
        assert "late__one" in [each["name"] for each in listed]
