"""Connects to the servers that were called last, so that the next call need not wait for them.

Knows the audit's records and the pool; nothing of what is called.
"""

from __future__ import annotations

import logging

import anyio
import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import Server, ServerName

from .upstream.pool.pool import ConnectionPool

logger = logging.getLogger(__name__)

_CALLS_CONSIDERED = 1000
_AT_ONCE = 4


async def prewarm(store: Store, pool: ConnectionPool, count: int) -> None:
    """Connect to ``count`` servers, a few at a time; one that cannot be reached is let be."""
    if count <= 0:
        return
    room = anyio.CapacityLimiter(_AT_ONCE)
    async with anyio.create_task_group() as tasks:
        for server in await anyio.to_thread.run_sync(find_recent, store, count):
            tasks.start_soon(_connect, pool, server, room)


def find_recent(store: Store, count: int) -> list[Server]:
    """Find the servers that were called last, the latest first; those that can be called now."""
    called = [record.server for record in store.list_calls(limit=_CALLS_CONSIDERED)]
    names = dict.fromkeys(name for name in called if name is not None)
    found = [store.find_server(ServerName(name)) for name in names]
    return [server for server in found if server is not None and server.enabled][:count]


async def _connect(pool: ConnectionPool, server: Server, room: anyio.CapacityLimiter) -> None:
    async with room:
        try:
            await pool.greet(server)
        except ToolcribError as error:
            logger.info("%s was not connected to ahead of its calls: %s", server.name, error)
