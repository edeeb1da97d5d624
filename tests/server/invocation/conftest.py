"""The call path over real parts: a store, a pool, and servers that are reached over the network."""

import contextlib
import importlib.util
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from toolcrib_migrations import open_store
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    CallRecord,
    EntryChanges,
    EntryKind,
    HttpTransport,
    JsonObject,
    Mark,
    Prompt,
    Resource,
    Server,
    ServerName,
    StdioTransport,
    Tool,
    Trust,
    hash_content,
)
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.invoker import Invoker
from toolcrib_server.invocation.records.audit import AuditLog
from toolcrib_server.invocation.records.telemetry import Telemetry
from toolcrib_server.invocation.rules.permission import Permission
from toolcrib_server.invocation.rules.policy import Policies
from toolcrib_server.invocation.rules.quota import Quota
from toolcrib_server.upstream.pool.pool import ConnectionPool

from ...serving import PromptServer

SCRIPT = Path(__file__).parent / "servers" / "workshop.py"


def load_workshop() -> Any:
    """Load the script that is run as a child process too: tests are no package."""
    spec = importlib.util.spec_from_file_location("workshop", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Workshop()


class Unsteady:
    """An ASGI application in front of another: some calls are answered 503, or never."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.failures = 0
        """How many of the next ``tools/call`` and ``resources/read`` are answered 503."""
        self.refused = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers") or ())
        method = headers.get(b"mcp-method", b"")
        if self.failures and method in {b"tools/call", b"resources/read"}:
            self.failures -= 1
            self.refused += 1
            await receive()
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)


@dataclass
class Running:
    """A workshop that is served on loopback by a thread."""

    workshop: Any
    door: Unsteady
    port: int
    stop: Callable[[], None]

    def server(self, name: str = "shop", **more: Any) -> Server:
        url = f"http://127.0.0.1:{self.port}/mcp"
        return Server(name=ServerName(name), transport=HttpTransport(url), **more)


@pytest.fixture
def start_workshop() -> Iterator[Any]:
    """Serve workshops until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(port: int = 0) -> Running:
            workshop = load_workshop()
            door = Unsteady(workshop.server.streamable_http_app())
            own = stack.enter_context(contextlib.ExitStack())
            port = serve(own, door, workshop.released.set, port=port)
            return Running(workshop, door, port, own.close)

        yield start


def serve(
    stack: contextlib.ExitStack, app: Any, release: Any = lambda: None, *, port: int = 0
) -> int:
    """Serve an application until the stack is closed; return its port."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = PromptServer(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()

    def stop() -> None:
        release()
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()

    stack.callback(stop)
    return int(listener.getsockname()[1])


@pytest.fixture
def stdio_server() -> Server:
    """Describe a workshop that is run as a child process."""
    return Server(name=ServerName("pipe"), transport=StdioTransport(sys.executable, (str(SCRIPT),)))


@dataclass
class House:
    """The opened parts, for a look inside."""

    store: Store
    pool: ConnectionPool
    audit: AuditLog
    invoker: Invoker
    spans: InMemorySpanExporter
    noticed: list[str] = field(default_factory=list[str])

    async def add(self, server: Server) -> Server:
        """Register a server with all that it lists."""
        self.store.add_server(server, actor="test")
        listing = await self.pool.list_all(server)
        owned = [
            *(made(Tool, server, each, each["name"]) for each in listing.tools),
            *(made(Prompt, server, each, each["name"]) for each in listing.prompts),
            *(made(Resource, server, each, each["uri"]) for each in listing.resources),
        ]
        self.store.apply(EntryChanges(server=server.name, upserts=tuple(owned)), actor="test")
        self.invoker.forget()
        return server

    def mark(self, name: str, trust: Trust, marks: tuple[Mark, ...]) -> None:
        """Say of a tool what a review would."""
        tool = self.store.get_entry(EntryKind.TOOL, name)
        assert isinstance(tool, Tool)
        changed = replace(tool, trust=trust, marks=marks, content_hash=name + trust)
        self.store.apply(EntryChanges(server=tool.server, upserts=(changed,)), actor="test")
        self.invoker.forget()

    async def call(self, name: str, *, principal: str = "me", **arguments: Any) -> dict[str, Any]:
        return await self.invoker.call(name, arguments, Asker(face="test", principal=principal))

    async def records(self) -> tuple[CallRecord, ...]:
        """The audit records, the latest first."""
        await self.audit.flush()
        return self.store.list_calls()


def made(kind: Any, server: Server, definition: JsonObject, local_name: str, **more: Any) -> Any:
    """Make an entry as a sync would."""
    return kind(
        name=f"{server.name}__{definition['name']}",
        server=server.name,
        local_name=local_name,
        definition=definition,
        content_hash=hash_content(definition),
        **more,
    )


@asynccontextmanager
async def open_house(
    folder: Path,
    policy: dict[str, dict[str, Any]] | None = None,
    *,
    quota: Quota | None = None,
    permission: Permission | None = None,
    tracing: bool = False,
    call_timeout_s: float = 60.0,
    max_message_bytes: int = 8 * 1024 * 1024,
) -> AsyncGenerator[House]:
    """Open everything that a call passes through."""
    store = open_store(f"sqlite:///{folder / 'toolcrib.db'}")
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    noticed: list[str] = []
    async with ConnectionPool(env={}, max_message_bytes=max_message_bytes) as pool:
        audit = AuditLog(store)
        invoker = Invoker(
            store,
            pool,
            audit,
            notice=noticed.append,
            quota=quota,
            permission=permission,
            policies=Policies(policy),
            telemetry=Telemetry(provider if tracing else None),
            call_timeout_s=call_timeout_s,
        )
        yield House(store, pool, audit, invoker, spans, noticed)
    store.close()


@pytest.fixture
def house_in(tmp_path: Path) -> Any:
    """Open a house in this test's folder."""

    def open_here(policy: dict[str, dict[str, Any]] | None = None, **more: Any) -> Any:
        return open_house(tmp_path, policy, **more)

    return open_here


@pytest.fixture
def serve_asgi() -> Any:
    """Serve an application until a stack is closed, and return its port."""
    return serve
