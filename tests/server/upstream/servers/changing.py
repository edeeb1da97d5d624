"""HTTP and stdio servers written with the SDK whose lists change when they are asked to."""

from mcp.server import MCPServer
from mcp.server.mcpserver import Context


def make():
    server = MCPServer("changing", version="1.0")

    @server.prompt()
    def greet(name: str) -> str:
        """Greet somebody."""
        return f"Say hello to {name}."

    @server.resource("memo://today")
    def today() -> str:
        """What is on today."""
        return "nothing"

    @server.tool()
    async def publish(kind: str, ctx: Context) -> str:
        """Tell the subscribers of 2026-07-28 that a list changed."""
        tell = {
            "tools": ctx.notify_tools_changed,
            "prompts": ctx.notify_prompts_changed,
            "resources": ctx.notify_resources_changed,
        }
        await tell[kind]()
        return "told"

    @server.tool()
    async def send(kind: str, ctx: Context) -> str:
        """Tell the session of an older client that a list changed."""
        tell = {
            "tools": ctx.session.send_tool_list_changed,
            "prompts": ctx.session.send_prompt_list_changed,
            "resources": ctx.session.send_resource_list_changed,
        }
        await tell[kind]()
        return "told"

    return server


if __name__ == "__main__":
    make().run("stdio")
