"""``toolcrib stdio``: MCP over standard input and output, as assistants start it."""

from __future__ import annotations

import anyio

from toolcrib_server.runtime import Runtime, run_background

from .running import run, told


def main() -> None:
    """Serve one assistant until it leaves."""
    told(lambda: run(serve_stdio))


async def serve_stdio(runtime: Runtime) -> None:
    """Serve over standard input and output, and keep the registry in step meanwhile."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_background, runtime)
        await runtime.gateway.run_stdio()
        tasks.cancel_scope.cancel()
