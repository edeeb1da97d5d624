"""Servers written with the SDK that ask, tell and remember: over HTTP, HTTP+SSE and stdio, any era.

`python asking.py old` speaks only the handshake over stdio; without an argument, both eras.
"""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.message import ServerMessageMetadata
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

NAMES = ("ask", "say", "tell", "who", "need", "fail", "wait", "die")
QUESTIONS = {
    "elicitation/create": types.ElicitRequest(
        params=types.ElicitRequestFormParams(
            message="Your name?",
            requested_schema={"type": "object", "properties": {"name": {"type": "string"}}},
        )
    ),
    "sampling/createMessage": types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=types.TextContent(text="Hi"))],
            max_tokens=5,
        )
    ),
    "roots/list": types.ListRootsRequest(),
}
ANSWERS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}


class Announcing(Server):
    """Announces changes of its tools in the handshake era too."""

    def create_initialization_options(self, notification_options=None, *args, **kwargs):
        announced = NotificationOptions(tools_changed=True)
        return super().create_initialization_options(announced, *args, **kwargs)


class Memory:
    """What a server was told, for all of its clients."""

    def __init__(self):
        self.bus = InMemorySubscriptionBus()
        self.subscribed = []
        self.levels = []
        self.notes = []
        self.cancelled = 0
        self.late = []
        self.streams = set()
        """The sessions over HTTP whose stream that belongs to no request is open."""


async def put(ctx, method, *, related=True):
    """Ask the client; say what came of it."""
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id) if related else None
    try:
        answer = await ctx.session.send_request(
            QUESTIONS[method], ANSWERS[method], metadata=metadata
        )
    except MCPError as error:
        return {"refused": error.error.code, "message": error.error.message}
    return answer.model_dump(by_alias=True, mode="json", exclude_none=True)


async def ask(
    ctx, memory, *, method="elicitation/create", related=True, after=False, patience_s=None
):
    if after:
        task = asyncio.get_running_loop().create_task(_later(ctx, memory, method))
        memory.late.append(task)
        return {"asked": "later"}
    with anyio.move_on_after(patience_s):
        return await put(ctx, method, related=related)
    return {"gave": "up"}


async def _later(ctx, memory, method):
    memory.notes.append(await put(ctx, method, related=False))


async def say(ctx, memory, *, times=1, related=True, padding=0):
    request_id = ctx.request_id if related else None
    for number in range(times):
        await ctx.session.report_progress(number + 1, times, f"step {number}")
        params = types.LoggingMessageNotificationParams(
            level="info", data={"number": number, "padding": "x" * padding}
        )
        said = types.LoggingMessageNotification(params=params)
        await ctx.session.send_notification(said, related_request_id=request_id)
    memory.notes.append("said")
    return {"said": times}


async def tell(ctx, memory, uri=None):
    """Tell of a change, both to those of the handshake and to those of 2026-07-28."""
    modern = ctx.protocol_version >= "2026"
    if uri is None:
        await memory.bus.publish(ToolsListChanged())
        if not modern:
            await ctx.session.send_tool_list_changed()
    else:
        await memory.bus.publish(ResourceUpdated(uri=uri))
        if not modern:
            await ctx.session.send_resource_updated(uri)
    return {"told": uri}


async def who(ctx, memory):
    """Say what is known of the client, and what it has said so far."""
    client = ctx.session.client_params
    return {
        "pid": os.getpid(),
        "session": ctx.request and ctx.request.headers.get("mcp-session-id"),
        "version": ctx.protocol_version,
        "capabilities": client.capabilities.model_dump(mode="json", exclude_none=True),
        "client": client.client_info.name,
        "meta": {key: value for key, value in (ctx.meta or {}).items() if "own" in key},
        "level": (ctx.meta or {}).get("io.modelcontextprotocol/logLevel"),
        "levels": memory.levels,
        "subscribed": memory.subscribed,
        "notes": memory.notes,
        "cancelled": memory.cancelled,
    }


async def fail(ctx, memory):
    raise MCPError(-32042, "Open the page first", {"page": "https://example.com"})


async def wait(ctx, memory):
    try:
        await anyio.sleep(3600)
    except anyio.get_cancelled_exc_class():
        memory.cancelled += 1
        raise


async def die(ctx, memory):
    os._exit(7)


DOES = {
    "ask": ask, "say": say, "tell": tell, "who": who, "fail": fail, "wait": wait, "die": die
}  # fmt: skip


def need(params):
    if params.input_responses:
        given = {k: v.model_dump(mode="json") for k, v in params.input_responses.items()}
        found = {"given": given, "state": params.request_state}
        return types.CallToolResult(content=[], structured_content=found)
    return types.InputRequiredResult(
        input_requests={"name": QUESTIONS["elicitation/create"]}, request_state="sealed"
    )


async def list_tools(ctx, params):
    schema = {"type": "object"}
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema=schema) for name in NAMES]
    )


async def list_resources(ctx, params):
    return types.ListResourcesResult(resources=[])


def make(memory=None):
    memory = memory or Memory()

    async def call_tool(ctx, params):
        if params.name == "need":
            return need(params)
        found = await DOES[params.name](ctx, memory, **(params.arguments or {}))
        return types.CallToolResult(
            content=[types.TextContent(text=json.dumps(found))], structured_content=found
        )

    async def subscribe(ctx, params):
        if str(params.uri) == "memo://locked":
            raise MCPError(-32602, "No such memo")
        memory.subscribed.append(f"+{params.uri}")
        return types.EmptyResult()

    async def unsubscribe(ctx, params):
        memory.subscribed.append(f"-{params.uri}")
        return types.EmptyResult()

    async def set_level(ctx, params):
        memory.levels.append(params.level)
        return types.EmptyResult()

    async def roots_changed(ctx, params):
        memory.notes.append("roots changed")

    server = Announcing(
        "asking",
        version="3.1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(memory.bus),
    )
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    server.add_notification_handler(
        "notifications/roots/list_changed", types.NotificationParams, roots_changed
    )
    return server


def both_eras(memory=None):
    return make(memory).streamable_http_app()


def old_era(memory=None):
    """The same server as it was before 2026-07-28: what it does not know it refuses."""
    memory = memory or Memory()
    app = make(memory).streamable_http_app()

    async def refuse_modern(scope, receive, send):
        if scope["type"] == "http" and (b"mcp-protocol-version", b"2026-07-28") in scope["headers"]:
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            body = json.dumps({"jsonrpc": "2.0", "id": "server-error", "error": error}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return

        async def note(event):
            await send(event)
            if event["type"] == "http.response.start" and scope["method"] == "GET":
                memory.streams.add(dict(scope["headers"])[b"mcp-session-id"].decode())

        await app(scope, receive, note)

    return refuse_modern


async def serve_handshake(server, read, write):
    await serve_loop(
        server, read, write, lifespan_state={}, init_options=server.create_initialization_options()
    )


def sse(memory=None):
    """HTTP+SSE, of the handshake era."""
    server, transport = make(memory), SseServerTransport("/messages/")

    async def stream(request):
        send = request._send
        async with transport.connect_sse(request.scope, request.receive, send) as (read, write):
            await serve_handshake(server, read, write)
        return Response()

    routes = [Route("/sse", stream), Mount("/messages/", app=transport.handle_post_message)]
    return Starlette(routes=routes)


@asynccontextmanager
async def _streams():
    async with stdio_server() as streams:
        yield streams


async def main():
    server = make()
    async with _streams() as (read, write):
        if sys.argv[1:] == ["old"]:
            await serve_handshake(server, read, write)
        else:
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
