"""Runs the SDK's login flow apart from the request that needed it.

The SDK holds a lock from the request to its answer, one call at a time; here only the login itself
is one at a time, and calls go on beside each other.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from toolcrib_server.sdk import load_sdk

from .errands import Errands
from .login import Challenge, Login

if TYPE_CHECKING:
    import httpx2
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import AuthorizationCodeResult

_NAME = "Toolcrib"


class Person(Protocol):
    """Somebody who can log in with a browser."""

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        ...

    async def visit(self, url: str) -> None:
        """Show somebody the page at which to log in."""
        ...

    async def come_back(self) -> AuthorizationCodeResult:
        """Wait for the browser to come back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The server at which to log in."""

    url: str
    login: Login
    client_metadata_url: str | None = None
    """The client id of 2026-07-28: where a document about this Toolcrib is published."""


@dataclass(frozen=True, slots=True)
class Guided:
    """Somebody who is sent nowhere that a login may not ask."""

    person: Person
    errands: Errands

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        return self.person.redirect_uri

    async def visit(self, url: str) -> None:
        """Show somebody the page at which to log in.

        Raises:
            BadAnswer: Its address is none that a login may name.
        """
        self.errands.check(url)
        await self.person.visit(url)

    async def come_back(self) -> AuthorizationCodeResult:
        """Wait for the browser to come back."""
        return await self.person.come_back()


async def run_flow(
    door: Door,
    errands: Errands,
    *,
    challenge: Challenge | None,
    person: Person | None,
    version: str,
) -> None:
    """Get a token and keep it: renew it, or, where a challenge is given, log in for it.

    Raises:
        mcp.client.auth.OAuthFlowError: It cannot be had; one that needs a person says so.
        BadAnswer: The server names an address that no login may ask.
        httpx2.HTTPError: An address does not answer.
    """
    import httpx2  # noqa: PLC0415  # slow

    request = httpx2.Request("POST", door.url, headers={"mcp-protocol-version": version})
    provider = await _provider(door, None if person is None else Guided(person, errands))
    await door.login.recall(provider.context, expired=challenge is None)
    try:
        await _drive(provider, request, errands, challenge)
    finally:
        await door.login.remember(provider.context)


async def _drive(
    provider: OAuthClientProvider,
    request: httpx2.Request,
    errands: Errands,
    challenge: Challenge | None,
) -> None:
    async with aclosing(provider.async_auth_flow(request)) as flow:
        sent = await anext(flow)
        while True:
            if sent is not request:
                answer = await errands.send(sent)
            elif challenge is not None:
                answer, challenge = _refusal(challenge, request), None
            else:
                return  # with a token, or as far as it gets without a person
            try:
                sent = await flow.asend(answer)
            except StopAsyncIteration:
                return


def _refusal(challenge: Challenge, request: httpx2.Request) -> httpx2.Response:
    import httpx2  # noqa: PLC0415  # slow

    headers = {"www-authenticate": challenge.www_authenticate}
    return httpx2.Response(challenge.status, headers=headers, request=request)


async def _provider(door: Door, person: Person | None) -> OAuthClientProvider:
    load_sdk()
    from mcp.client.auth import OAuthClientProvider  # noqa: PLC0415  # slow
    from mcp.shared.auth import OAuthClientMetadata  # noqa: PLC0415  # slow
    from pydantic import AnyUrl  # noqa: PLC0415  # slow

    if door.login.grant() == "client_credentials":
        return await _by_credentials(door)
    return OAuthClientProvider(
        door.url,
        OAuthClientMetadata(
            client_name=_NAME,
            redirect_uris=[AnyUrl(person.redirect_uri)] if person else None,
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=door.login.scope(),
        ),
        door.login,
        redirect_handler=person.visit if person else None,
        callback_handler=person.come_back if person else None,
        client_metadata_url=door.client_metadata_url,
    )


async def _by_credentials(door: Door) -> OAuthClientProvider:
    load_sdk()
    from mcp.client.auth import OAuthFlowError  # noqa: PLC0415  # slow
    from mcp.client.auth.extensions.client_credentials import (  # noqa: PLC0415  # slow
        ClientCredentialsOAuthProvider,
    )

    known = await door.login.get_client_info()
    if known is None or known.client_secret is None:
        raise OAuthFlowError("The client id or its secret is missing.")
    method = known.token_endpoint_auth_method
    return ClientCredentialsOAuthProvider(
        door.url,
        door.login,
        known.client_id,
        known.client_secret,
        "client_secret_post" if method == "client_secret_post" else "client_secret_basic",
        scope=door.login.scope(),
        issuer=known.issuer,
    )
