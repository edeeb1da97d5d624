"""HTTP servers written with the SDK: both eras on one endpoint, only the old one, and HTTP+SSE."""

import json

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context


def make(name="web"):
    server = MCPServer(name, version="1.0")

    @server.tool()
    def echo(text: str) -> str:
        """Say it again."""
        return text

    @server.tool()
    async def slow() -> str:
        """Take for ever."""
        await anyio.sleep(3600)
        return "at last"

    @server.tool()
    async def steps(ctx: Context) -> str:
        """Report progress on the way."""
        await ctx.report_progress(1, 2, "half")
        await ctx.report_progress(2, 2, "whole")
        return "done"

    @server.tool()
    async def grow() -> str:
        """Add a tool, and say so."""
        return "grown"

    return server


def both_eras():
    return make().streamable_http_app()


def old_era():
    """The same server as it was before 2026-07-28: what it does not know it refuses."""
    app = make().streamable_http_app()

    async def refuse_modern(scope, receive, send):
        if scope["type"] == "http" and (b"mcp-protocol-version", b"2026-07-28") in scope["headers"]:
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            body = json.dumps({"jsonrpc": "2.0", "id": "server-error", "error": error}).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await app(scope, receive, send)

    return refuse_modern


def sse():
    return make().sse_app()
