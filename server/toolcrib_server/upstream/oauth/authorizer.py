"""Gives requests to a server their access token, and gets another when the server refuses it."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

import anyio

from toolcrib_registry.types import ServerName
from toolcrib_server.upstream.failures import LinkFailure, Unauthorized

from .errands import TIMEOUT_S, Errands
from .flow import Door, Person, run_flow
from .login import Challenge

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

_NEWEST: Final = "2026-07-28"
_LONGEST_RENEWAL_S: Final = 60.0


class Authorizer:
    """For one server. With a ``person`` it logs in; without, it only renews what it has."""

    def __init__(self, server: ServerName, door: Door, *, person: Person | None = None) -> None:
        self._server = server
        self._door = door
        self._person = person
        self._one_at_a_time = anyio.Lock()

    async def headers(self) -> dict[str, str]:
        """Return the header that shows the token; nothing where there is no login."""
        login = self._door.login
        token = login.bearer()
        if token is None and login.can_renew():
            async with self._one_at_a_time:
                if login.bearer() is None:
                    await self._try_renewing(None)
            token = login.bearer()
        return {} if token is None else {"authorization": f"Bearer {token}"}

    async def answer(self, challenge: Challenge, shown: str | None) -> None:
        """Get a token that the server takes; ``shown`` is the header that it refused.

        Raises:
            Unauthorized: A person must log in; the message says how.
        """
        async with self._one_at_a_time:
            if self._has_another_than(shown):
                return  # somebody else was at it while this one waited
            if self._person is not None:
                await self._log_in(challenge, self._person)
            elif not await self._renew(challenge, shown):
                await self._door.login.note(challenge)
                raise Unauthorized(self._advice(challenge))

    def _has_another_than(self, shown: str | None) -> bool:
        token = self._door.login.bearer()
        return token is not None and f"Bearer {token}" != shown

    async def _renew(self, challenge: Challenge, shown: str | None) -> bool:
        """Get another token without a person, where that can help."""
        login = self._door.login
        if login.grant() == "client_credentials":
            return await self._try_renewing(challenge)
        if shown is None or challenge.wants_scope or not login.can_renew():
            return False
        await login.expire()
        return await self._try_renewing(None)

    async def _log_in(self, challenge: Challenge, person: Person) -> None:
        try:
            await self._run(challenge, person)
        except Exception as error:
            if isinstance(error, LinkFailure):
                raise
            raise Unauthorized(f"could not be logged in at: {error}") from error

    async def _try_renewing(self, challenge: Challenge | None) -> bool:
        """Renew the token; what goes wrong is logged, and the server's refusal says the rest."""
        if challenge is None and self._door.login.grant() == "client_credentials":
            challenge = _NO_TOKEN
        try:
            with anyio.fail_after(_LONGEST_RENEWAL_S):
                await self._run(challenge, None)
        except Exception as error:  # noqa: BLE001  # the SDK's, the client's, pydantic's
            reason = error.reason if isinstance(error, LinkFailure) else str(error)
            logger.warning("The login at %s could not be renewed: %s", self._server, reason)
            return False
        return self._door.login.bearer() is not None

    async def _run(self, challenge: Challenge | None, person: Person | None) -> None:
        async with _client() as client:
            errands = Errands(client, self._door.url)
            await run_flow(self._door, errands, challenge=challenge, person=person, version=_NEWEST)

    def _advice(self, challenge: Challenge) -> str:
        if challenge.wants_scope:
            return f"wants more rights than the login has; run: toolcrib login {self._server}"
        return (
            f"wants a login (HTTP {challenge.status}); run: toolcrib login {self._server} - or set "
            "its Authorization header"
        )


_NO_TOKEN: Final = Challenge(status=401, www_authenticate="Bearer")


def _client() -> AbstractAsyncContextManager[httpx2.AsyncClient]:
    import httpx2  # noqa: PLC0415  # slow

    return httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=True)
