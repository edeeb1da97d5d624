"""Every registered server as a service of its own, found by its name."""

from __future__ import annotations

from toolcrib_registry.store import Store
from toolcrib_registry.types import Server, ServerName
from toolcrib_server.invocation.rules.permission import AsRegistered, Permission

from .inputs import Inputs
from .news import Newsroom
from .passthrough import Forwarding, PassThrough, Reach
from .sight import Sights


class ServerServices:
    """Gives the service of a server. One that is disabled or cannot be called says so itself."""

    def __init__(
        self,
        store: Store,
        forwarding: Forwarding,
        reach: Reach,
        inputs: Inputs,
        news: Newsroom,
        *,
        permission: Permission | None = None,
    ) -> None:
        """``permission`` decides what is shown; give the one that the call path asks."""
        self._sights = Sights(store, permission or AsRegistered())
        self._forwarding = forwarding
        self._reach = reach
        self._inputs = inputs
        self._news = news
        self._services: dict[ServerName, PassThrough] = {}

    def forget(self) -> None:
        """Look everything up again: the registry has changed."""
        self._sights.forget()

    async def get(self, name: str) -> PassThrough:
        """Return the service of a registered server.

        Raises:
            NotFound: There is no such server; near names are offered.
        """
        server = await self._sights.get_server(ServerName(name))
        service = self._services.get(server.name)
        if service is None:
            service = self._services[server.name] = PassThrough(
                server.name,
                sights=self._sights,
                forwarding=self._forwarding,
                reach=self._reach,
                inputs=self._inputs,
                news=self._news.of(server.name),
            )
        return service


def endpoint_of(server: Server) -> str | None:
    """Say at which path a server is served as it is; None for a catalogue, which is not."""
    return f"/servers/{server.name}/mcp" if server.callable else None
