"""Where a turn's request goes: an endpoint, or a server of this machine that is started for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import anyio

from toolcrib_registry.errors import NotCallable, Peer, UpstreamTimeout
from toolcrib_registry.types import Offer
from toolcrib_server.upstream.models.local import LocalServers
from toolcrib_server.upstream.models.target import Target

from .turns import Turn


class Resolve(Protocol):
    """Fills in an offer's references for one call."""

    def __call__(self, offer: Offer, *, url: str) -> Target:
        """Say where it goes, with which headers.

        Raises:
            NotCallable: A reference leads nowhere.
        """
        ...


class Destinations:
    """Finds where requests go, and has who answers there run for so long."""

    def __init__(self, local: LocalServers, resolve: Resolve) -> None:
        self._local = local
        self._resolve = resolve

    @asynccontextmanager
    async def of(self, turn: Turn) -> AsyncGenerator[Target]:
        """Say where a turn's request goes; starting a server takes of the turn's time.

        Raises:
            NotCallable: The offer has no endpoint, or a reference of it leads nowhere.
            UpstreamError: Its server does not start, or not in time.
        """
        offer = turn.pick.candidate.offer
        if offer is None or not offer.callable:
            raise NotCallable(
                f"{turn.pick.candidate.label} cannot be called: register an endpoint."
            )
        if offer.launch is None:
            yield self._resolve(offer, url=offer.endpoint or "")
            return
        deadline = anyio.current_time() + turn.timeout_s
        async with AsyncExitStack() as stack:
            try:
                with anyio.fail_after(turn.timeout_s):
                    url = await stack.enter_async_context(self._local.use(offer))
            except TimeoutError:
                waited = "while its server was being started"
                raise UpstreamTimeout(
                    offer.provider, waited, turn.timeout_s, peer=Peer.PROVIDER
                ) from None
            turn.timeout_s = max(deadline - anyio.current_time(), 0.001)
            yield self._resolve(offer, url=url)
