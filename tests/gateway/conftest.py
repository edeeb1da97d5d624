"""A whole house with real servers behind it, and clients at its face for everything."""

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import HttpTransport, Server, ServerName, StdioTransport, Transport
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings

EVERYTHING = Path(__file__).parents[1] / "relay" / "servers" / "everything.py"


@asynccontextmanager
async def served(app: Any):
    """Serve an ASGI application on a free loopback port; yields its base URL."""
    config = uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        try:
            with anyio.fail_after(30):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                while server.servers and server.servers[0].is_serving():  # noqa: ASYNC110
                    await anyio.sleep(0.02)


@asynccontextmanager
async def everything(era: str, transport: str):
    """Run the server that does everything; yields how to reach it."""
    if transport == "stdio":
        yield StdioTransport(sys.executable, (str(EVERYTHING), "stdio", era))
        return
    spec = importlib.util.spec_from_file_location("everything", EVERYTHING)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    async with served(module.http_app(era)) as url:
        yield HttpTransport(f"{url}/mcp")


@asynccontextmanager
async def house(folder: Path, servers: Sequence[tuple[str, Transport]] = (), **options: Any):
    """Open a Toolcrib that knows these servers and what they list."""
    settings = Settings(data_dir=folder, cache_dir=folder / "cache", sync_interval_s=0, **options)
    async with open_runtime(settings, open_encoder=lambda: HashEncoder(64)) as runtime:
        for name, transport in servers:
            server = Server(name=ServerName(name), transport=transport, call_timeout_s=20)
            runtime.store.add_server(server, actor="test")
        await follow(runtime)
        yield runtime


async def follow(runtime: Runtime) -> None:
    """Bring the registry and everything that follows it up to date."""
    for server in runtime.store.list_servers().items:
        if server.callable and server.enabled:
            await runtime.reconciler.sync([server.name])
    await runtime.indexer.catch_up()
    await runtime.describe()
