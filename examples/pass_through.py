"""Talk to one server through Toolcrib as if directly, with MCP's own client; a person is asked.

Needs a running server: TOOLCRIB_URL says where (http://127.0.0.1:8321 unless set), and
TOOLCRIB_SERVER which of its servers (the first that can be called unless set).
"""

import os

import anyio
import httpx
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

BASE = os.environ.get("TOOLCRIB_URL", "http://127.0.0.1:8321")


def find_endpoint() -> str:
    """Ask Toolcrib where a server is served as it is."""
    servers = httpx.get(f"{BASE}/api/v1/servers").raise_for_status().json()["items"]
    wanted = os.environ.get("TOOLCRIB_SERVER")
    return next(
        BASE + each["endpoint"]
        for each in servers
        if each["endpoint"] and wanted in {None, each["name"]}
    )


async def ask_person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Show what the server asks, and answer for the person."""
    print("The server asks:", params.message)
    return ElicitResult(action="decline")


async def main() -> None:
    """List the server's tools under their own names."""
    async with Client(find_endpoint(), elicitation_callback=ask_person) as client:
        print(f"Spoken: {client.protocol_version}")
        for tool in (await client.list_tools()).tools:
            print(tool.name)


if __name__ == "__main__":
    anyio.run(main)
