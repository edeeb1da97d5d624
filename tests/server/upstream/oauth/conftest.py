"""A real MCP server behind a real OAuth authorization server, both of the SDK, on loopback."""

import secrets
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl

from toolcrib_server.upstream.config.secrets import SecretStore

from ....serving import PromptServer


@dataclass
class Issuer:
    """An authorization server that lets everybody in who comes with a browser."""

    lasts_s: int = 3600
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    renewals: dict[str, RefreshToken] = field(default_factory=dict)
    granted: int = 0
    renewed: int = 0
    refuses: bool = False

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[str(client_info.client_id)] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        back = str(params.redirect_uri)
        if self.refuses:
            return construct_redirect_uri(back, error="access_denied", state=params.state)
        code = AuthorizationCode(
            code=secrets.token_urlsafe(16),
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(back, code=code.code, state=params.state)

    async def load_authorization_code(self, client: Any, code: str) -> AuthorizationCode | None:
        return self.codes.get(code)

    async def exchange_authorization_code(
        self, client: Any, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        self.granted += 1
        return self._issue(authorization_code.client_id, authorization_code.scopes)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> RefreshToken | None:
        return self.renewals.get(refresh_token)

    async def exchange_refresh_token(
        self, client: Any, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.renewals[refresh_token.token]
        self.renewed += 1
        return self._issue(refresh_token.client_id, scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self.tokens.get(token)
        return found if found and (found.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: Any) -> None:
        self.tokens.pop(token.token, None)

    def _issue(self, client_id: str, scopes: list[str]) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        expires_at = int(time.time()) + self.lasts_s
        self.tokens[access] = AccessToken(
            token=access, client_id=client_id, scopes=scopes, expires_at=expires_at
        )
        self.renewals[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes)
        return OAuthToken(
            access_token=access,
            refresh_token=refresh,
            expires_in=self.lasts_s,
            scope=" ".join(scopes),
        )


@dataclass
class Guarded:
    """A served MCP server that wants a login."""

    url: str
    issuer: Issuer


@asynccontextmanager
async def open_guarded(issuer: Issuer) -> AsyncGenerator[Guarded]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = AuthSettings(
            issuer_url=AnyHttpUrl(base),
            resource_server_url=AnyHttpUrl(f"{base}/mcp"),
            validate_token_resource=False,
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=["use"], default_scopes=["use"]
            ),
            required_scopes=["use"],
        )
        server = MCPServer("vault", auth=settings, auth_server_provider=issuer)  # type: ignore[arg-type]

        @server.tool()
        def open_vault() -> str:
            """Open the vault."""
            return "open"

        config = uvicorn.Config(server.streamable_http_app(), log_level="critical")
        web = PromptServer(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(web.serve, [listener])
            with anyio.fail_after(20):
                while not web.started:
                    await anyio.lowlevel.checkpoint()
            try:
                yield Guarded(f"{base}/mcp", issuer)
            finally:
                web.should_exit = True


@pytest.fixture
async def guarded() -> AsyncGenerator[Guarded]:
    async with open_guarded(Issuer()) as served:
        yield served


@pytest.fixture
def kept(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "secrets.json")


async def follow(url: str) -> None:
    """Do what a browser does: go there, and where it is sent from there."""
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        answer = await browser.get(url)
        assert answer.status_code == 200, answer.text
