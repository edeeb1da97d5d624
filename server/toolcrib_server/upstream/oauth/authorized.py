"""An endpoint's client whose requests show a token, and are sent again when it was refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from toolcrib_registry.types import HttpTransport, SseTransport
from toolcrib_server.upstream.limits import LinkLimits
from toolcrib_server.upstream.network.endpoint_client import EndpointClient, Reply

from .authorizer import Authorizer
from .login import Challenge

_UNAUTHORIZED = 401
_FORBIDDEN = 403


class AuthorizedClient(EndpointClient):
    """Shows the token of a login with every request."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        limits: LinkLimits,
        authorizer: Authorizer,
    ) -> None:
        super().__init__(url, headers, limits=limits)
        self._authorizer = authorizer

    @asynccontextmanager
    async def send(
        self,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        url: str | None = None,
        read_timeout_s: float | None = None,
    ) -> AsyncGenerator[Reply]:
        """Send a request; leaving closes its stream.

        A request that was refused for its token was not processed: it is sent again, once.

        Raises:
            Unauthorized: A person must log in.
            LinkFailure: As `EndpointClient.send`.
        """
        shown = await self._authorizer.headers()
        fields = {**headers, **shown}
        opening = super().send(method, body, fields, url=url, read_timeout_s=read_timeout_s)
        async with opening as reply:
            challenge = read_challenge(reply)
            if challenge is None:
                yield reply
                return
        await self._authorizer.answer(challenge, shown.get("authorization"))
        fields |= await self._authorizer.headers()
        again = super().send(method, body, fields, url=url, read_timeout_s=read_timeout_s)
        async with again as reply:
            yield reply


def client_of(
    transport: HttpTransport | SseTransport, *, limits: LinkLimits, authorizer: Authorizer | None
) -> EndpointClient:
    """Make the client for an endpoint: one that logs in, if an authorizer is given."""
    if authorizer is None:
        return EndpointClient(transport.url, transport.headers, limits=limits)
    return AuthorizedClient(transport.url, transport.headers, limits=limits, authorizer=authorizer)


def read_challenge(reply: Reply) -> Challenge | None:
    """Read what a reply demands; None where it demands no login."""
    if reply.status not in {_UNAUTHORIZED, _FORBIDDEN}:
        return None
    said = reply.headers.get("www-authenticate", "")
    challenge = Challenge(status=reply.status, www_authenticate=said)
    return challenge if reply.status == _UNAUTHORIZED or challenge.wants_scope else None
