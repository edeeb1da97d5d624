"""Every feature, for clients and servers of either era, over either transport: the whole matrix.

A failure names its cell: the client's era, the server's era, and the transport between the gateway
and the server.
"""

import warnings
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import MCPError
from mcp.client import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    Root,
    TextContent,
)

from toolcrib_server.asgi import build_app

from ..serving import served
from .conftest import house, upstream

WATCHED = "test://watched"
CELLS = [(era, transport) for era in ("modern", "handshake") for transport in ("stdio", "http")]
CLIENTS = {"modern": "auto", "handshake": "legacy"}
PAGE = 5


@asynccontextmanager
async def gateway(folder, era, transport):
    """Serve a house with the server behind it; yields the URL of its pass-through."""
    async with upstream(era, transport, page_size=PAGE) as at, house(folder, at) as runtime:
        app = build_app(runtime)
        async with served(app) as url:
            yield f"{url}/servers/everything/mcp"


@pytest.fixture(scope="module", params=CELLS, ids=[f"server-{era}-over-{by}" for era, by in CELLS])
def url(request, tmp_path_factory):
    """One gateway for each kind of server; it runs in a thread of its own."""
    era, transport = request.param
    folder = tmp_path_factory.mktemp("house")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(gateway(folder, era, transport)) as at,
    ):
        yield at


@pytest.fixture(params=CLIENTS, ids=[f"client-{era}" for era in CLIENTS])
def connect(request, url):
    """Connect a client of an era to the gateway in front of a server of an era."""

    @asynccontextmanager
    async def open_client(**options):
        async with Client(url, mode=CLIENTS[request.param], **options) as client:
            is_modern = client.protocol_version == "2026-07-28"
            assert is_modern == (request.param == "modern")
            with anyio.fail_after(30):
                yield client

    return open_client


@pytest.fixture(autouse=True)
def quiet():
    """Roots, sampling and logging are deprecated; they have to work all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        yield


pytestmark = pytest.mark.anyio


def is_modern(client):
    return client.protocol_version == "2026-07-28"


async def all_tools(client):
    tools, cursor, pages = [], None, 0
    while True:
        page = await client.list_tools(cursor=cursor)
        tools, cursor, pages = [*tools, *page.tools], page.next_cursor, pages + 1
        if cursor is None:
            return tools, pages


async def elicit(context, params):
    if "Sure" in params.message:
        return ElicitResult(action="accept", content={"sure": True})
    return ElicitResult(action="accept", content={"name": "Ada"})


async def sample(context, params):
    return CreateMessageResult(
        role="assistant", content=TextContent(type="text", text="four"), model="m"
    )


async def roots(context):
    return ListRootsResult(roots=[Root.model_validate({"uri": "file:///home/ada"})])


async def test_identity_and_instructions(connect):
    async with connect() as client:
        assert client.instructions == "Ask it for anything."
        assert (client.server_info.name, client.server_info.version) == ("everything", "3.1")
        capabilities = client.server_capabilities
        for offered in ("tools", "prompts", "resources", "completions", "logging"):
            assert getattr(capabilities, offered) is not None, offered


async def test_tools_list(connect):
    async with connect() as client:
        tools, pages = await all_tools(client)
        assert pages > 1
        by_name = {tool.name: tool for tool in tools}
        assert {"echo", "rich", "ask", "think", "where", "touch"} <= by_name.keys()
        echo = by_name["echo"]
        assert (echo.title, echo.annotations.read_only_hint) == ("Echo", True)
        assert echo.icons[0].src == "data:image/png;base64,AAAA"
        assert echo.meta == {"example.org/colour": "blue"}
        assert by_name["add"].output_schema is not None


async def test_call(connect):
    async with connect() as client:
        said = await client.call_tool("echo", {"text": "naïve ☃"})
        assert (said.content[0].text, said.is_error) == ("naïve ☃", False)
        added = await client.call_tool("add", {"a": 2, "b": 3})
        assert added.structured_content == {"sum": 5}


async def test_errors(connect):
    async with connect() as client:
        failed = await client.call_tool("fail", {})
        assert failed.is_error
        assert "it broke" in failed.content[0].text
        misfit = await client.call_tool("add", {"a": "two"})
        assert misfit.is_error
        with pytest.raises(MCPError) as caught:
            await client.get_prompt("nothing")
        assert caught.value.error.code in {-32602, -32603, 0}


async def test_progress(connect):
    steps = []

    async def on_progress(progress, total, message):
        steps.append((progress, total, message))

    async with connect() as client:
        done = await client.call_tool("steps", {}, progress_callback=on_progress)
        assert done.content[0].text == "done"
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_logging(connect):
    heard, all_heard = [], anyio.Event()

    async def on_log(params):
        heard.append((params.level, params.data))
        if len(heard) == 2:
            all_heard.set()

    async with connect(logging_callback=on_log, log_level="debug") as client:
        if not is_modern(client):
            await client.set_logging_level("debug")
        await client.call_tool("chatter", {})
        with anyio.fail_after(30):
            await all_heard.wait()
    assert heard == [("debug", "a debug"), ("warning", "a warning")]


async def test_elicitation(connect):
    async with connect(elicitation_callback=elicit) as client:
        assert (await client.call_tool("ask", {})).content[0].text == "Hello, Ada"
        assert (await client.call_tool("ask_twice", {})).content[0].text == "Ada is sure"


async def test_a_question_that_is_declined(connect):
    async def decline(context, params):
        return ElicitResult(action="decline")

    async with connect(elicitation_callback=decline) as client:
        declined = await client.call_tool("ask", {})
        assert declined.is_error
        assert "decline" in declined.content[0].text


async def test_what_nobody_can_be_asked_is_refused(connect):
    async with connect() as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("ask", {})
        assert caught.value.error.code == -32021
        assert caught.value.error.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_sampling(connect):
    async with connect(sampling_callback=sample) as client:
        thought = await client.call_tool("think", {"question": "2+2?"})
        assert thought.content[0].text == "The model says four"


async def test_roots(connect):
    async with connect(list_roots_callback=roots) as client:
        assert (await client.call_tool("where", {})).content[0].text == "file:///home/ada"


async def test_completion(connect):
    async with connect() as client:
        for ref in (
            PromptReference(type="ref/prompt", name="greet"),
            ResourceTemplateReference(type="ref/resource", uri="test://item/{number}"),
        ):
            found = await client.complete(ref, {"name": "name", "value": "a"})
            assert found.completion.values == ["a-one", "a-two"]


async def test_resources(connect):
    async with connect() as client:
        listed = (await client.list_resources()).resources
        assert {str(one.uri) for one in listed} == {"test://static", "test://binary", WATCHED}
        words = (await client.read_resource("test://static")).contents[0]
        assert (words.text, words.mime_type) == ("static words", "text/plain")
        assert (await client.read_resource("test://binary")).contents[0].blob == "cGl4ZWw="


async def test_a_resource_that_is_not_there(connect):
    async with connect() as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource("test://nowhere")
        assert caught.value.error.code == (-32602 if is_modern(client) else -32002)


async def test_templates(connect):
    async with connect() as client:
        [template] = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "test://item/{number}"
        assert (await client.read_resource("test://item/7")).contents[0].text == "item 7"


async def test_prompts(connect):
    async with connect() as client:
        [prompt] = (await client.list_prompts()).prompts
        assert (prompt.name, prompt.arguments[0].name) == ("greet", "name")
        got = await client.get_prompt("greet", {"name": "Ada"})
        assert got.messages[0].content.text == "Greet Ada"


async def test_subscription(connect):
    updated = anyio.Event()

    async def on_message(message):
        if isinstance(message, ResourceUpdatedNotification):
            assert str(message.params.uri) == WATCHED
            updated.set()

    async with connect(message_handler=on_message) as client:
        if is_modern(client):
            async with client.listen(resource_subscriptions=[WATCHED]) as events:
                assert events.honored.resource_subscriptions == [WATCHED]
                await client.call_tool("touch", {})
                async for event in events:
                    assert event.uri == WATCHED
                    break
        else:
            await client.subscribe_resource(WATCHED)
            await client.call_tool("touch", {})
            with anyio.fail_after(30):
                await updated.wait()
            await client.unsubscribe_resource(WATCHED)


async def test_cancellation(connect):
    begun = anyio.Event()

    async def on_progress(progress, total, message):
        begun.set()

    async with connect() as client:
        before = (await client.call_tool("what_started", {})).content[0].text.count("cancelled")
        async with anyio.create_task_group() as tasks:

            async def hang():
                await client.call_tool("hang", {}, progress_callback=on_progress)

            tasks.start_soon(hang)
            with anyio.fail_after(30):
                await begun.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            while True:
                said = await client.call_tool("what_started", {})
                if said.content[0].text.count("cancelled") > before:
                    break
                await anyio.sleep(0.02)


async def test_rich_content(connect):
    async with connect() as client:
        content = (await client.call_tool("rich", {})).content
        kinds = [one.type for one in content]
        assert kinds == ["text", "image", "audio", "resource", "resource_link"]
        assert content[1].mime_type == "image/png"
        assert content[2].data == content[1].data
        assert content[3].resource.text == "inside"
        assert str(content[4].uri) == "test://static"
