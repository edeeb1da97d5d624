"""``toolcrib stdio``: MCP over standard input and output, as assistants start it."""

from __future__ import annotations

import os
import signal

import anyio

from toolcrib_server.runtime import Runtime, close_now, run_background

from .running import run, told

_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a process."""


def main() -> None:
    """Serve one assistant until it leaves."""
    told(lambda: run(serve_stdio))


async def serve_stdio(runtime: Runtime) -> None:
    """Serve over standard input and output, and keep the registry in step meanwhile."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_background, runtime)
        tasks.start_soon(_end_on_signal, runtime)
        await runtime.gateway.run_stdio()
        tasks.cancel_scope.cancel()


async def _end_on_signal(runtime: Runtime) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            await close_now(runtime)
            # A thread waits for the next line of standard input and cannot be woken: the
            # ordinary way out would wait for it.
            os._exit(_SIGNALLED + number)
