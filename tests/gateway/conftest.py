"""A whole house with real servers behind it, and clients at its face for everything."""

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import HttpTransport, Server, ServerName, StdioTransport, Transport
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings

from ..serving import served

EVERYTHING = Path(__file__).parents[1] / "relay" / "servers" / "everything.py"


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
