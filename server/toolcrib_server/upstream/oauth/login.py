"""What is kept of a login at a server: tokens, our registration there, and what it last refused.

One secret of the server's, bound to its URL: at another URL it counts for nothing.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio.to_thread

from toolcrib_registry.types import JsonObject, ServerName
from toolcrib_server.sdk import load_sdk
from toolcrib_server.upstream.config.secrets import SecretStore

if TYPE_CHECKING:
    # Models of the SDK are slow to import, and most servers want no login.
    from mcp.client.auth.oauth2 import OAuthContext
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

Grant = Literal["authorization_code", "client_credentials"]
_KEY: Final = "oauth"
_KNOWN_S: Final = 1.0
"""So long a login that another process makes, or ends, may go unnoticed."""
_LONG_AGO: Final = 1.0
_MARGIN_S: Final = 30.0
"""A token that expires so soon is renewed before it is used; one that lasts a minute, later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a server answered instead of a result: 401, or 403 for a scope that is missing."""

    status: int
    www_authenticate: str

    @property
    def wants_scope(self) -> bool:
        """Whether a login would do that has more rights."""
        return self.status == 403 and "insufficient_scope" in self.www_authenticate  # noqa: PLR2004


class Login:
    """The login at one server. The SDK's ``TokenStorage``, over the file of secrets."""

    def __init__(self, secrets: SecretStore, server: ServerName, url: str) -> None:
        self._secrets = secrets
        self._key = f"{server}/{_KEY}"
        self._url = url
        self._known: dict[str, Any] = {}
        self._known_until = 0.0

    # --- what the SDK's flow asks -------------------------------------------------------------

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens."""
        load_sdk()
        from mcp.shared.auth import OAuthToken  # noqa: PLC0415  # slow

        tokens = self._read().get("tokens")
        return None if tokens is None else OAuthToken.model_validate(tokens)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep tokens; what the server refused before is settled by them."""
        lasts_s = tokens.expires_in
        await self._change(
            tokens=tokens.model_dump(mode="json", exclude_none=True),
            renew_at=None if lasts_s is None else time.time() + lasts_s - _margin_s(lasts_s),
            challenge=None,
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return how we are registered at the authorization server."""
        load_sdk()
        from mcp.shared.auth import OAuthClientInformationFull  # noqa: PLC0415  # slow

        known = self._read().get("client")
        return None if known is None else OAuthClientInformationFull.model_validate(known)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep our registration."""
        await self._change(client=client_info.model_dump(mode="json", exclude_none=True))

    async def recall(self, context: OAuthContext, *, expired: bool) -> None:
        """Tell a fresh flow what an earlier one found out; ``expired``: the token is to be renewed.

        The SDK takes a token that it did not fetch itself for valid, and guesses the address at
        which to renew it.
        """
        load_sdk()
        from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata  # noqa: PLC0415  # slow

        kept = self._read()
        if expired:
            context.token_expiry_time = _LONG_AGO
        if "issuer" in kept:
            context.oauth_metadata = OAuthMetadata.model_validate(kept["issuer"])
        if "resource" in kept:
            found = ProtectedResourceMetadata.model_validate(kept["resource"])
            context.protected_resource_metadata = found
            context.auth_server_url = str(found.authorization_servers[0])

    async def remember(self, context: OAuthContext) -> None:
        """Keep what a flow found out about the place to log in."""
        issuer, resource = context.oauth_metadata, context.protected_resource_metadata
        if issuer is not None:
            found = {"issuer": issuer.model_dump(mode="json", exclude_none=True)}
            if resource is not None:
                found["resource"] = resource.model_dump(mode="json", exclude_none=True)
            await self._change(**found)

    # --- what links and commands ask ----------------------------------------------------------

    def bearer(self) -> str | None:
        """Return the access token; None where there is none that still holds."""
        kept = self._lately()
        renew_at = kept.get("renew_at")
        if renew_at is not None and renew_at <= time.time():
            return None
        tokens: JsonObject = kept.get("tokens") or {}
        return tokens.get("access_token")

    def can_renew(self) -> bool:
        """Whether a token can be had without a person."""
        kept = self._lately()
        tokens: JsonObject = kept.get("tokens") or {}
        return bool(tokens.get("refresh_token")) or kept.get("grant") == "client_credentials"

    def grant(self) -> Grant:
        """Return how tokens are had."""
        found = self._read().get("grant")
        return "client_credentials" if found == "client_credentials" else "authorization_code"

    async def keep_app(
        self, client_id: str, secret: str | None, *, grant: Grant, scope: str | None
    ) -> None:
        """Keep an app that was registered there beforehand, in place of an earlier login."""
        await self.forget()
        app = {"client_id": client_id, "client_secret": secret, "redirect_uris": None}
        method = "client_secret_basic" if secret else "none"
        await self._change(
            client=app | {"token_endpoint_auth_method": method}, grant=grant, scope=scope
        )

    async def set_grant(self, grant: Grant, *, scope: str | None) -> None:
        """Keep how tokens are to be had, and for which scope."""
        await self._change(grant=grant, scope=scope)

    def scope(self) -> str | None:
        """Return the scope that was asked for; None: what the server suggests."""
        return self._read().get("scope")

    async def note(self, challenge: Challenge) -> None:
        """Keep what the server refused, so that the next login can ask for what is missing."""
        await self._change(
            challenge={"status": challenge.status, "header": challenge.www_authenticate}
        )

    def challenge(self) -> Challenge | None:
        """Return what the server refused last, unless a login has settled it."""
        kept: JsonObject | None = self._read().get("challenge")
        if kept is None:
            return None
        return Challenge(status=kept["status"], www_authenticate=kept["header"])

    async def expire(self) -> None:
        """Take the access token for expired: the server said so."""
        await self._change(renew_at=_LONG_AGO)

    async def forget(self) -> bool:
        """Log out here: drop tokens and registration. Say whether there were any."""
        had = bool(self._read())
        await anyio.to_thread.run_sync(partial(self._secrets.put, {self._key: "{}"}))
        self._known_until = 0.0
        return had

    def _lately(self) -> dict[str, Any]:
        """Read it, unless that was a moment ago: every request asks, and most want no login."""
        now = time.monotonic()
        if now >= self._known_until:
            self._known, self._known_until = self._read(), now + _KNOWN_S
        return self._known

    def _read(self) -> dict[str, Any]:
        # Nothing waits: the file is read only when it has changed.
        raw = self._secrets.find(self._key)
        kept: Any = json.loads(raw) if raw else {}
        return kept if isinstance(kept, dict) and kept.get("url") == self._url else {}  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]  # decoded JSON of ours

    async def _change(self, **changes: Any) -> None:
        def change() -> None:
            kept = {**self._read(), "url": self._url, **changes}
            held = {name: value for name, value in kept.items() if value is not None}
            self._secrets.put({self._key: json.dumps(held)})

        await anyio.to_thread.run_sync(change)
        self._known_until = 0.0


def _margin_s(lasts_s: float) -> float:
    return min(_MARGIN_S, lasts_s / 5)
