"""A stdio server written with the SDK: it speaks 2026-07-28 and announces changes of its tools."""

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("modern", version="2.5", instructions="Ask it for anything.")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.prompt()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Say hello to {name}."


@server.resource("memo://today")
def today() -> str:
    """What is on today."""
    return "nothing"


@server.resource("memo://{day}")
def memo(day: str) -> str:
    """What was on that day."""
    return day


@server.tool()
async def grow(ctx: Context) -> str:
    """Add a tool, and say so."""
    server.add_tool(lambda: "new", name="grown")
    await ctx.notify_tools_changed()
    return "grown"


if __name__ == "__main__":
    server.run("stdio")
