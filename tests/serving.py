"""ASGI applications on real loopback ports, which end as soon as a test has done with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import uvicorn

_TICK_S = 0.01


class PromptServer(uvicorn.Server):
    """Looks a hundred times a second whether it is to end; as it comes, ten times a second."""

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(_TICK_S)


@asynccontextmanager
async def served(app: Any, **options: Any) -> AsyncGenerator[str]:
    """Serve an ASGI application on a free port; yields its base URL. ``options`` are uvicorn's."""
    config = uvicorn.Config(
        app, port=0, log_level="critical", timeout_graceful_shutdown=1, **options
    )
    server = PromptServer(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        try:
            with anyio.fail_after(30):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            # Not by cancelling, which would leave the listening socket to the collector.
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                while server.servers and server.servers[0].is_serving():  # noqa: ASYNC110  # uvicorn tells nobody
                    await anyio.sleep(_TICK_S)
