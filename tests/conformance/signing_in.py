"""Logs in where a scenario wants it, with Toolcrib's own connections, and calls the first tool."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import anyio
import httpx

from toolcrib_registry.errors import UpstreamError
from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.oauth.browser import open_browser
from toolcrib_server.upstream.oauth.login import Login
from toolcrib_server.upstream.oauth.logins import Logins
from toolcrib_server.upstream.pool.pool import ConnectionPool

NAME = ServerName("suite")
DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""What the suite takes for the published document about a client."""
TIMEOUT_S = 120


async def sign_in(url: str, scenario: str) -> None:
    """Log in at a server of the suite, list what it has and call the first tool.

    A server that must not be trusted is refused with an error, which is what such a scenario wants.
    """
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(TIMEOUT_S):
        kept = SecretStore(Path(folder) / "secrets.json")
        await keep_app(Logins(kept).login_at(NAME, url), scenario)
        async with open_browser(follow) as person:
            logins = Logins(kept, client_metadata_url=DOCUMENT, person=person)
            async with ConnectionPool(secrets=kept, logins=logins) as pool:
                await use(pool, Server(name=NAME, transport=HttpTransport(url, {})))


async def use(pool: ConnectionPool, server: Server) -> None:
    """List what a server has and call the first tool."""
    listing = await pool.list_all(server)
    for tool in listing.tools[:1]:
        try:
            await pool.call_tool(server, tool["name"], {}, timeout_s=TIMEOUT_S)
        except UpstreamError as error:
            print(error)


async def keep_app(login: Login, scenario: str) -> None:
    """Keep the app that a scenario says is registered already."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    if "client_id" not in context:
        return
    grant = "client_credentials" if "client-credentials" in scenario else "authorization_code"
    secret = context.get("client_secret")
    await login.keep_app(context["client_id"], secret, grant=grant, scope=None)


async def follow(url: str) -> None:
    """Do what a browser does: go there, and where it is sent from there."""
    async with httpx.AsyncClient(follow_redirects=True, timeout=TIMEOUT_S) as browser:
        await browser.get(url)
