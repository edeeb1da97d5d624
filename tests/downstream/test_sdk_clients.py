"""The SDK's own clients of both eras at one URL, with everything they can do."""

from contextlib import asynccontextmanager

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]


@asynccontextmanager
async def client(bench, mode, **more):
    async with (
        httpx2.AsyncClient(headers={"authorization": "Bearer a-key"}, timeout=20) as http,
        Client(streamable_http_client(bench.url, http_client=http), mode=mode, **more) as opened,
    ):
        yield opened


def text_of(said):
    assert isinstance(said, (types.TextContent, types.TextResourceContents))
    return said.text


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_finds_out_the_era_and_calls(bench, mode):
    async with client(bench, mode) as mine:
        old = mode == "legacy"
        assert mine.protocol_version == ("2025-11-25" if old else "2026-07-28")
        if mode != "2026-07-28":
            assert mine.server_info is not None
            assert mine.server_info.name == "workshop"
            assert mine.instructions == "Try the tools."
        listed = await mine.list_tools()
        assert "echo" in {tool.name for tool in listed.tools}
        result = await mine.call_tool("echo", {"text": "hi"})
        assert text_of(result.content[0]) == "hi"
        assert result.structured_content == {"text": "hi"}
        with pytest.raises(MCPError) as caught:
            await mine.call_tool("none", {})
        assert caught.value.error.code == -32602
        read = await mine.read_resource("tool://hammer")
        assert text_of(read.contents[0]) == "a hammer"
        assert bench.shop.requests[-1].client.principal == "ada"


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_hears_progress(bench, mode):
    heard = []

    async def on_progress(progress, total, message):
        heard.append((progress, total))

    async with client(bench, mode) as mine:
        await mine.call_tool("count", {"upto": 3}, progress_callback=on_progress)
    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["ask", "ask_twice"])
async def test_a_client_answers_what_a_server_wants_to_know(bench, mode, name):
    async def elicit(ctx, params):
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(ctx, params):
        said = types.TextContent(type="text", text="Hello!")
        return types.CreateMessageResult(role="assistant", content=said, model="m")

    async with client(bench, mode, elicitation_callback=elicit, sampling_callback=sample) as mine:
        result = await mine.call_tool(name, {})
    said = text_of(result.content[0])
    assert "Ada" in said if name == "ask" else said == "both: accept, assistant"


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_declared_nothing_is_told_what_it_lacks(bench, mode):
    async with client(bench, mode) as mine:
        with pytest.raises(MCPError) as caught:
            await mine.call_tool("ask", {})
    assert caught.value.error.code == -32021


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_client_hears_log_messages_of_its_level(bench):
    heard = []

    async def on_log(params):
        heard.append(params.level)

    async with client(bench, "auto", log_level="warning", logging_callback=on_log) as mine:
        await mine.call_tool("log", {})
    assert heard == ["warning", "emergency"]
    async with client(bench, "legacy", logging_callback=on_log) as mine:
        await mine.set_logging_level("emergency")  # pyright: ignore[reportDeprecated]  # of the era
        await mine.call_tool("log", {})
    assert heard == ["warning", "emergency", "emergency"]


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_client_of_the_handshake_era_hears_of_changes(bench):
    heard = anyio.Event()
    said = []

    async def on_message(message):
        said.append(message)
        heard.set()

    async with client(bench, "legacy", message_handler=on_message) as mine:
        await mine.subscribe_resource("tool://hammer")  # pyright: ignore[reportDeprecated]
        await bench.shop.wait(lambda: bench.shop.listening == 1)
        await bench.shop.tell("notifications/resources/updated", {"uri": "tool://hammer"})
        with anyio.fail_after(30):
            await heard.wait()
        await mine.unsubscribe_resource("tool://hammer")  # pyright: ignore[reportDeprecated]
        await mine.send_ping()  # pyright: ignore[reportDeprecated]  # of the handshake era
    assert str(said[0].params.uri) == "tool://hammer"
    await bench.shop.wait(lambda: bench.shop.left)


async def test_a_modern_client_follows_a_subscription(bench):
    async with (
        client(bench, "auto") as mine,
        mine.listen(tools_list_changed=True) as changes,
    ):
        await bench.shop.wait(lambda: bench.shop.listening == 1)
        await bench.shop.tell("notifications/tools/list_changed", {})
        with anyio.fail_after(30):
            event = await anext(aiter(changes))
        assert event is not None
    await bench.shop.wait(lambda: not bench.shop.listening)


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_gives_up_cancels_its_call(bench, mode):
    async with client(bench, mode) as mine:
        with anyio.move_on_after(30) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(mine.call_tool, "wait", {})
                await bench.shop.running.wait()
                tasks.cancel_scope.cancel()
        assert not scope.cancelled_caught
        await bench.shop.wait(lambda: bench.shop.cancelled == 1)
        result = await mine.call_tool("echo", {"text": "on"})
        assert text_of(result.content[0]) == "on"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_many_calls_at_once_get_their_own_answers(bench, mode):
    answers = {}

    async def one(mine, number):
        name = "echo" if number % 3 else "count"
        result = await mine.call_tool(name, {"text": str(number), "upto": number + 1})
        answers[number] = text_of(result.content[0])

    async with client(bench, mode) as mine, anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(one, mine, number)
    assert all(
        said == str(number) if number % 3 else said.startswith(f"counted to {number + 1},")
        for number, said in answers.items()
    )
