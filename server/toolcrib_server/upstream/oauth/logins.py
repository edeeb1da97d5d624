"""Finds the authorizer of a server: none where its settings hold credentials of their own."""

from __future__ import annotations

from toolcrib_registry.types import HttpTransport, ServerName, SseTransport
from toolcrib_server.upstream.config.secrets import SecretStore

from .authorizer import Authorizer
from .flow import Door, Person
from .login import Login


class Logins:
    """The logins at all servers. With a ``person`` they can be made, without only be renewed."""

    def __init__(
        self,
        secrets: SecretStore,
        *,
        client_metadata_url: str | None = None,
        person: Person | None = None,
    ) -> None:
        self._secrets = secrets
        self._client_metadata_url = client_metadata_url
        self._person = person

    def find(
        self, server: ServerName, transport: HttpTransport | SseTransport
    ) -> Authorizer | None:
        """Find the authorizer for a server whose settings are filled in."""
        if any(name.lower() == "authorization" for name in transport.headers):
            return None
        door = Door(
            url=transport.url,
            login=self.login_at(server, transport.url),
            client_metadata_url=self._client_metadata_url,
        )
        return Authorizer(server, door, person=self._person)

    def login_at(self, server: ServerName, url: str) -> Login:
        """Find what is kept of a login."""
        return Login(self._secrets, server, url)
