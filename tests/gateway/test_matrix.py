"""Everything a server can do, through the face for all servers: either era, on either side.

A failure names its cell: the client's era, the server's era, the transport between the gateway and
the server.
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
from .conftest import everything, house

WATCHED = "test://watched"
CELLS = [(era, transport) for era in ("modern", "handshake") for transport in ("stdio", "http")]
CLIENTS = {"modern": "auto", "handshake": "legacy"}

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def gateway(folder, era, transport):
    async with (
        everything(era, transport) as at,
        house(folder, [("all", at)]) as runtime,
        served(build_app(runtime)) as url,
    ):
        yield f"{url}/mcp"


@pytest.fixture(scope="module", params=CELLS, ids=[f"server-{era}-over-{by}" for era, by in CELLS])
def url(request, tmp_path_factory):
    """One house for each kind of server; it runs in a thread of its own."""
    folder = tmp_path_factory.mktemp("house")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(gateway(folder, *request.param)) as at,
    ):
        yield at


@pytest.fixture(params=CLIENTS, ids=[f"client-{era}" for era in CLIENTS])
def connect(request, url):
    @asynccontextmanager
    async def open_client(**options):
        async with Client(url, mode=CLIENTS[request.param], **options) as client:
            assert (client.protocol_version == "2026-07-28") == (request.param == "modern")
            with anyio.fail_after(30):
                yield client

    return open_client


@pytest.fixture(autouse=True)
def quiet():
    """Roots, sampling and logging are deprecated; they have to work all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        yield


def is_modern(client):
    return client.protocol_version == "2026-07-28"


async def call(client, tool, /, **arguments):
    named = {"name": f"all__{tool}", "arguments": arguments}
    return await client.call_tool("call_tool", named)


async def elicit(context, params):
    if "Sure" in params.message:
        return ElicitResult(action="accept", content={"sure": True})
    return ElicitResult(action="accept", content={"name": "Ada"})


async def test_results_are_the_tools_own(connect):
    async with connect() as client:
        assert (await call(client, "echo", text="naïve ☃")).content[0].text == "naïve ☃"
        assert (await call(client, "add", a=2, b=3)).structured_content == {"sum": 5}
        failed = await call(client, "fail")
        assert failed.is_error
        assert "it broke" in failed.content[0].text


async def test_rich_content_comes_whole_and_its_links_can_be_read(connect):
    async with connect() as client:
        content = (await call(client, "rich")).content
        assert [one.type for one in content] == [
            "text",
            "image",
            "audio",
            "resource",
            "resource_link",
        ]
        assert (content[1].mime_type, content[2].data) == ("image/png", content[1].data)
        read = await client.read_resource(str(content[4].uri))
        assert read.contents[0].text == "static words"


async def test_progress_of_the_tool_behind(connect):
    steps = []

    async def on_progress(progress, total, message):
        steps.append((progress, total, message))

    async with connect() as client:
        named = {"name": "all__steps", "arguments": {}}
        await client.call_tool("call_tool", named, progress_callback=on_progress)
    assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


async def test_log_messages_of_the_tool_behind(connect):
    heard = []
    both = anyio.Event()

    async def on_log(params):
        heard.append((params.level, params.data))
        if len(heard) > 1:
            both.set()

    async with connect(logging_callback=on_log, log_level="debug") as client:
        if not is_modern(client):
            await client.set_logging_level("debug")
        await call(client, "chatter")
        with anyio.fail_after(30):
            await both.wait()
    assert heard == [("debug", "a debug"), ("warning", "a warning")]


async def test_a_person_is_asked(connect):
    async with connect(elicitation_callback=elicit) as client:
        assert (await call(client, "ask")).content[0].text == "Hello, Ada"
        assert (await call(client, "ask_twice")).content[0].text == "Ada is sure"


async def test_a_model_and_roots_are_asked_for(connect):
    async def sample(context, params):
        said = TextContent(type="text", text="four")
        return CreateMessageResult(role="assistant", content=said, model="m")

    async def roots(context):
        return ListRootsResult(roots=[Root.model_validate({"uri": "file:///home/ada"})])

    async with connect(sampling_callback=sample, list_roots_callback=roots) as client:
        thought = await call(client, "think", question="2+2?")
        assert thought.content[0].text == "The model says four"
        assert (await call(client, "where")).content[0].text == "file:///home/ada"


async def test_who_cannot_be_asked_is_told_what_it_would_have_to_be_able_to_do(connect):
    async with connect() as client:
        with pytest.raises(MCPError) as caught:
            await call(client, "ask")
        assert caught.value.error.code == -32021
        assert caught.value.error.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_cancelling_reaches_the_tool_behind(connect):
    begun = anyio.Event()

    async def on_progress(progress, total, message):
        begun.set()

    async def hang():
        named = {"name": "all__hang", "arguments": {}}
        await client.call_tool("call_tool", named, progress_callback=on_progress)

    async with connect() as client:
        before = (await call(client, "what_started")).content[0].text.count("cancelled")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            with anyio.fail_after(30):
                await begun.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            while (await call(client, "what_started")).content[0].text.count("cancelled") == before:  # noqa: ASYNC110
                await anyio.sleep(0.02)


async def test_prompts_by_their_names_in_the_registry(connect):
    async with connect() as client:
        (prompt,) = (await client.list_prompts()).prompts
        assert (prompt.name, prompt.arguments[0].name) == ("all__greet", "name")
        got = await client.get_prompt("all__greet", {"name": "Ada"})
        assert got.messages[0].content.text == "Greet Ada"


async def test_resources_and_templates_by_their_uris(connect):
    async with connect() as client:
        listed = (await client.list_resources()).resources
        uris = {str(one.uri) for one in listed}
        assert uris == {"test://static", "test://binary", WATCHED}
        assert {one.meta["io.toolcrib/server"] for one in listed} == {"all"}
        assert (await client.read_resource("test://binary")).contents[0].blob == "cGl4ZWw="
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "test://item/{number}"
        assert (await client.read_resource("test://item/7")).contents[0].text == "item 7"
        with pytest.raises(MCPError) as caught:
            await client.read_resource("other://nowhere")
        assert caught.value.error.code == (-32602 if is_modern(client) else -32002)


async def test_completions_of_both_kinds(connect):
    async with connect() as client:
        for ref in (
            PromptReference(type="ref/prompt", name="all__greet"),
            ResourceTemplateReference(type="ref/resource", uri="test://item/{number}"),
        ):
            found = await client.complete(ref, {"name": "name", "value": "a"})
            assert found.completion.values == ["a-one", "a-two"]


async def test_updates_of_a_resource(connect):
    updated = anyio.Event()

    async def on_message(message):
        if isinstance(message, ResourceUpdatedNotification):
            assert str(message.params.uri) == WATCHED
            updated.set()

    async with connect(message_handler=on_message) as client:
        if not is_modern(client):
            await client.subscribe_resource(WATCHED)
            await call(client, "touch")
            with anyio.fail_after(30):
                await updated.wait()
            await client.unsubscribe_resource(WATCHED)
            return
        wanted = [WATCHED, "other://nowhere"]
        async with client.listen(resource_subscriptions=wanted) as events:
            assert events.honored.resource_subscriptions == [WATCHED]
            await call(client, "touch")
            async for event in events:
                assert event.uri == WATCHED
                break
