"""How a link is lost: once, for one reason, which whoever waits for it is told."""

from __future__ import annotations

import anyio

from toolcrib_server.upstream.failures import BadAnswer, LinkLost


class Loss:
    """Whether a link is lost, and why; the first reason counts."""

    def __init__(self) -> None:
        self.failure: LinkLost | BadAnswer | None = None
        self._come = anyio.Event()

    def note(self, failure: LinkLost | BadAnswer) -> bool:
        """Say that the link is lost; False if it was already."""
        if self.failure is not None:
            return False
        self.failure = failure
        self._come.set()
        return True

    async def wait(self) -> str:
        """Wait until the link is lost; return the reason."""
        await self._come.wait()
        assert self.failure is not None
        return self.failure.reason

    def refuse(self) -> None:
        """Refuse what would be sent on a link that is lost.

        Raises:
            LinkLost: It is; what was to be sent was not delivered.
        """
        if self.failure is not None:
            raise LinkLost(self.failure.reason, delivered=False)
