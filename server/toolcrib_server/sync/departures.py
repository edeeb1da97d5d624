"""Servers that were removed or turned off, by whichever process: their connections are closed.

The process that removes a server closes its own connection to it; the others learn of it from the
registry, and would go on running the server's command for as long as they live.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any

import anyio

from toolcrib_registry.types import ServerName


class Departures:
    """Remembers which servers there were."""

    def __init__(self, drop: Callable[[ServerName], Coroutine[Any, Any, None]]) -> None:
        # ``drop`` ends within a bounded time.
        self._drop = drop
        self._known: frozenset[ServerName] = frozenset()

    async def note(self, enabled: Collection[ServerName]) -> None:
        """Take note of the servers that there are, and close what leads to those that went.

        One that was turned off before is not touched: somebody may be reading it by hand.
        """
        gone, self._known = self._known - set(enabled), frozenset(enabled)
        async with anyio.create_task_group() as tasks:
            for name in sorted(gone):
                tasks.start_soon(self._drop, name)
