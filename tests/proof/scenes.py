"""Where the upstream servers of a history are: in memory, or real ones over HTTP and stdio."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from toolcrib_registry.types import HttpTransport, StdioTransport, Transport
from toolcrib_server.sync.reconcile import Lister
from toolcrib_server.sync.testing import Fault, MemoryUpstream, MemoryUpstreams
from toolcrib_server.upstream.pool.pool import ConnectionPool

from .live import LiveUpstream
from .truth import SERVERS, Truth

_LISTED = Path(__file__).parent / "servers" / "listed.py"


class Scene(Protocol):
    """The upstream servers of one history."""

    def lister(self, worker: int) -> Lister: ...

    def transport(self, name: str) -> Transport: ...

    def publish(self, truth: Truth, *, page_size: int) -> None:
        """Have a server list this from now on. Nobody is told."""
        ...

    def fault(self, name: str) -> Fault | None: ...

    def set_fault(self, name: str, fault: Fault | None) -> None: ...

    def most_at_once(self, name: str) -> int:
        """How many listings of a server were under way at the same time, at most."""
        ...


class MemoryScene:
    """Servers in memory, with every fault there is."""

    def __init__(self) -> None:
        self._upstreams = MemoryUpstreams({name: MemoryUpstream() for name in SERVERS})

    def lister(self, worker: int) -> Lister:
        del worker
        return self._upstreams.share()

    def transport(self, name: str) -> Transport:
        return StdioTransport(f"in-memory-{name}")

    def publish(self, truth: Truth, *, page_size: int) -> None:
        upstream = self._upstreams.servers[truth.name]
        upstream.tools, upstream.prompts = truth.sent("tool"), truth.sent("prompt")
        upstream.resources, upstream.page_size = truth.sent("resource"), page_size

    def fault(self, name: str) -> Fault | None:
        return self._upstreams.servers[name].fault

    def set_fault(self, name: str, fault: Fault | None) -> None:
        self._upstreams.servers[name].fault = fault

    def most_at_once(self, name: str) -> int:
        return self._upstreams.servers[name].most_open


class LiveScene:
    """One server over stdio, written with the SDK, the others over HTTP; none has a fault.

    What the SDK would not send is not sent over stdio, and only tools are listed.
    """

    def __init__(self, folder: Path, http: LiveUpstream, pools: list[ConnectionPool]) -> None:
        self._file = folder / "listed.json"
        self._http = http
        self._pools = pools
        self._file.write_text("[]")

    def lister(self, worker: int) -> Lister:
        return self._pools[worker]

    def transport(self, name: str) -> Transport:
        if name == SERVERS[0]:
            return StdioTransport(sys.executable, (str(_LISTED), str(self._file)))
        return HttpTransport(self._http.url(name), {"x-worker": name})

    def publish(self, truth: Truth, *, page_size: int) -> None:
        del page_size
        truth.items = [item for item in truth.items if item.id.startswith("tool:")]
        if truth.name != SERVERS[0]:
            self._http.lists[truth.name] = truth.sent("tool")
            return
        truth.items = truth.sound()
        whole = self._file.with_suffix(".new")
        whole.write_text(json.dumps(truth.sent("tool")))
        whole.replace(self._file)

    def fault(self, name: str) -> Fault | None:
        del name

    def set_fault(self, name: str, fault: Fault | None) -> None:
        """Leave it well: what fails in real servers, `test_kills` and the pool's tests see to."""

    def most_at_once(self, name: str) -> int:
        del name
        return 1


@asynccontextmanager
async def live_scene(folder: Path) -> AsyncGenerator[LiveScene]:
    """Start an HTTP server and two pools of connections; each history has its own."""
    async with AsyncExitStack() as stack:
        http = stack.enter_context(LiveUpstream())
        pools = [await stack.enter_async_context(ConnectionPool()) for _ in range(2)]
        yield LiveScene(folder, http, pools)
