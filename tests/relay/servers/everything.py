"""A server written with the SDK that does all there is; of both eras, or of the handshake's alone.

Run as ``everything.py stdio modern|handshake``, or served over HTTP by `http_app`.
"""

import base64
import json
import sys
from typing import Annotated

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp_types import (
    AudioContent,
    Completion,
    CreateMessageResult,
    EmbeddedResource,
    EmptyResult,
    Icon,
    ImageContent,
    ListRootsResult,
    ListToolsResult,
    PaginatedRequestParams,
    ResourceLink,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel

PIXEL = base64.b64encode(b"pixel").decode()
WATCHED = "test://watched"
SEVERITIES = ("debug", "info", "warning", "error")


class Name(BaseModel):
    """What is asked for."""

    name: str


class Sure(BaseModel):
    """What else is asked for."""

    sure: bool


def make(*, page_size=None):  # noqa: C901, PLR0915  # one server, all its features in one place
    server = MCPServer("everything", version="3.1", instructions="Ask it for anything.")
    started = []
    levels = {"now": "debug"}

    @server.tool(
        title="Echo",
        annotations=ToolAnnotations(read_only_hint=True),
        icons=[Icon(src="data:image/png;base64,AAAA", mime_type="image/png")],
        meta={"example.org/colour": "blue"},
    )
    def echo(text: str) -> str:
        """Say it again."""
        return text

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ToolError("it broke")

    @server.tool()
    def rich() -> list[TextContent | ImageContent | AudioContent | EmbeddedResource | ResourceLink]:
        """Answer with everything that content can be."""
        return [
            TextContent(type="text", text="words"),
            ImageContent(type="image", data=PIXEL, mime_type="image/png"),
            AudioContent(type="audio", data=PIXEL, mime_type="audio/wav"),
            EmbeddedResource(
                type="resource", resource=TextResourceContents(uri="test://in", text="inside")
            ),
            ResourceLink(type="resource_link", name="link", uri="test://static"),
        ]

    @server.tool()
    def add(a: int, b: int) -> dict[str, int]:
        """Add, with structure."""
        return {"sum": a + b}

    @server.tool()
    async def steps(ctx: Context) -> str:
        """Report progress."""
        for at in (1, 2, 3):
            await ctx.report_progress(at, 3, f"step {at}")
        return "done"

    @server.tool()
    async def chatter(ctx: Context) -> str:
        """Log at two severities."""
        for level in ("debug", "warning"):
            if SEVERITIES.index(level) >= SEVERITIES.index(levels["now"]):
                await ctx.log(level, f"a {level}")  # pyright: ignore[reportDeprecated]  # it has to work
        return "said"

    @server.tool()
    async def hang(ctx: Context) -> str:
        """Wait to be cancelled."""
        started.append("hang")
        await ctx.report_progress(1, 2, "hanging")
        try:
            await anyio.sleep_forever()
        finally:
            started.append("cancelled")
        return "never"

    @server.tool()
    def what_started() -> str:
        """Say what was begun and what cancelled."""
        return ",".join(started)

    def ask_name():
        return Elicit("Who are you?", Name)

    def ask_sure(name: Annotated[Name, Resolve(ask_name)]):
        return Elicit(f"Sure, {name.name}?", Sure)

    @server.tool()
    async def ask(name: Annotated[Name, Resolve(ask_name)]) -> str:
        """Ask a person."""
        return f"Hello, {name.name}"

    @server.tool()
    async def ask_twice(
        name: Annotated[Name, Resolve(ask_name)], sure: Annotated[Sure, Resolve(ask_sure)]
    ) -> str:
        """Ask a person, and then again."""
        return f"{name.name} is {'sure' if sure.sure else 'not sure'}"

    def ask_model(question: str):
        said = SamplingMessage(role="user", content=TextContent(type="text", text=question))
        return Sample([said], max_tokens=10)

    @server.tool()
    async def think(question: str, said: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
        """Ask the client's model."""
        assert isinstance(said.content, TextContent)
        return f"The model says {said.content.text}"

    def ask_roots():
        return ListRoots()

    @server.tool()
    async def where(found: Annotated[ListRootsResult, Resolve(ask_roots)]) -> str:
        """Ask for the client's roots."""
        return ",".join(str(root.uri) for root in found.roots)

    @server.tool()
    async def touch(ctx: Context) -> str:
        """Change the watched resource and the list of tools, and say so."""
        if ctx.request_context.protocol_version >= "2026-07-28":
            await ctx.notify_resource_updated(WATCHED)
            await ctx.notify_tools_changed()
        else:
            await ctx.session.send_resource_updated(WATCHED)
            await ctx.session.send_tool_list_changed()
        return "touched"

    @server.resource("test://static", mime_type="text/plain")
    def static() -> str:
        """Something to read."""
        return "static words"

    @server.resource("test://binary", mime_type="image/png")
    def binary() -> bytes:
        """Something to look at."""
        return b"pixel"

    @server.resource(WATCHED)
    def watched() -> str:
        """Something that changes."""
        return "watched words"

    @server.resource("test://item/{number}")
    def item(number: str) -> str:
        """Something by its number."""
        return f"item {number}"

    @server.prompt()
    def greet(name: str) -> list[UserMessage]:
        """Greet somebody."""
        return [UserMessage(content=TextContent(type="text", text=f"Greet {name}"))]

    @server.completion()
    async def complete(ref, argument, context):
        return Completion(values=[f"{argument.value}-one", f"{argument.value}-two"], total=2)

    async def set_level(ctx, params):
        levels["now"] = params.level
        return EmptyResult()

    async def accept(ctx, params):
        return EmptyResult()

    low = server._lowlevel_server
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
    if page_size is not None:
        _paginate(server, page_size)
    return server


def _paginate(server, size):
    async def list_page(ctx, params):
        tools = await server.list_tools()
        start = int(params.cursor) if params and params.cursor else 0
        end = start + size
        cursor = str(end) if end < len(tools) else None
        return ListToolsResult(tools=tools[start:end], next_cursor=cursor)

    server._lowlevel_server.add_request_handler("tools/list", PaginatedRequestParams, list_page)


def http_app(era, *, page_size=None):
    """Serve it over HTTP: of both eras, or as it was before 2026-07-28."""
    app = make(page_size=page_size).streamable_http_app()
    return app if era == "modern" else _refusing_modern(app)


def _refusing_modern(app):
    async def serve(scope, receive, send):
        if scope["type"] == "http" and (b"mcp-protocol-version", b"2026-07-28") in scope["headers"]:
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            body = json.dumps({"jsonrpc": "2.0", "id": "server-error", "error": error}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await app(scope, receive, send)

    return serve


async def _serve_handshake(server):
    low = server._lowlevel_server
    async with stdio_server() as (read, write), low.lifespan(low) as state:
        await serve_loop(low, read, write, lifespan_state=state)


if __name__ == "__main__":
    size = int(sys.argv[3]) if len(sys.argv) > 3 else None
    if sys.argv[2] == "modern":
        make(page_size=size).run("stdio")
    else:
        anyio.run(_serve_handshake, make(page_size=size))
