"""A small upstream server for the interop run: one tool that says back what it is told."""

from mcp.server import MCPServer

server = MCPServer("echo")


@server.tool()
def echo(text: str) -> str:
    """Say a text back, word for word."""
    return f"echo: {text}"


if __name__ == "__main__":
    server.run("stdio")
