"""A whole house with one real server behind it, and clients' requests put to its service."""

import runpy
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.types import HttpTransport, Server, ServerName, StdioTransport
from toolcrib_server.downstream.service import Client, Request, RpcError
from toolcrib_server.runtime import open_runtime
from toolcrib_server.settings import Settings

from ..serving import served

SCRIPT = Path(__file__).parent / "servers" / "everything.py"
MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
ALL_CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}


@asynccontextmanager
async def upstream(era, transport, *, page_size=None):
    """Run the server that does everything; yields how to reach it."""
    if transport == "stdio":
        args = (str(SCRIPT), "stdio", era, *([str(page_size)] if page_size else []))
        yield StdioTransport(sys.executable, args)
    else:
        async with served(runpy.run_path(str(SCRIPT))["http_app"](era, page_size=page_size)) as url:
            yield HttpTransport(f"{url}/mcp")


@asynccontextmanager
async def house(folder, transport, *, name="everything", **options):
    """Open everything, with one server registered; with none, as it was left."""
    settings = Settings(data_dir=folder, cache_dir=folder / "cache", sync_interval_s=0, **options)
    async with open_runtime(settings, open_encoder=lambda: HashEncoder(64)) as runtime:
        if transport is not None:
            server = Server(name=ServerName(name), transport=transport, call_timeout_s=20)
            runtime.store.add_server(server, actor="test")
            await runtime.describe()
        yield runtime


@dataclass
class Asker:
    """A client, as a face would show it to a service."""

    service: Any
    client: Client
    answers: dict[str, Any] = field(default_factory=dict)
    """What it answers to questions, by method; one that is missing is refused."""
    asked: list[Any] = field(default_factory=list)
    heard: list[Any] = field(default_factory=list)

    async def ask(self, method, params):
        self.asked.append((method, params))
        if method not in self.answers:
            raise RpcError(-32601, f"cannot {method}")
        return self.answers[method]

    async def notify(self, method, params):
        self.heard.append((method, params))

    async def send(self, method, *, wants_progress=False, **params):
        """Put one request, and no more."""
        return await self.service.handle(
            Request(
                method=method,
                params=params,
                client=self.client,
                notify=self.notify,
                wants_progress=wants_progress,
                ask=self.ask if self.client.session else None,
            )
        )

    async def call(self, tool, /, **arguments):
        return await self.send("tools/call", name=tool, arguments=arguments)


async def begin_hanging(asker):
    """Call the tool that waits to be cancelled, and cancel it once it has begun."""
    begun, notify = anyio.Event(), asker.notify

    async def heard(method, params):
        begun.set()
        await notify(method, params)

    async def hang():
        await asker.send("tools/call", wants_progress=True, name="hang", arguments={})

    asker.notify = heard
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hang)
        with anyio.fail_after(30):
            await begun.wait()
        tasks.cancel_scope.cancel()
    asker.notify = notify


def modern_client(service, *, principal="local", capabilities=None, answers=None, log_level=None):
    client = Client(
        principal=principal,
        version=MODERN,
        capabilities=capabilities or {},
        info={"name": "tester", "version": "1"},
        log_level=log_level,
    )
    return Asker(service, client, answers or {})


def old_client(service, *, principal="local", capabilities=None, answers=None, session="s1"):
    asker = Asker(service, Client(principal=principal, version=HANDSHAKE), answers or {})
    asker.client = Client(
        principal=principal,
        version=HANDSHAKE,
        capabilities=capabilities or {},
        info={"name": "tester", "version": "1"},
        session=session,
        notify=asker.notify,
        ask=asker.ask,
    )
    return asker
