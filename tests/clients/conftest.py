"""Both clients against a real API: the blocking one over loopback, the asynchronous in process."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from toolcrib_registry.errors import ArgumentProblem, InvalidArguments, UpstreamUnavailable
from toolcrib_registry.types import HttpTransport, Server, ServerName
from toolcrib_server.guard import ApiKey, KeyRing, Role
from toolcrib_server.rest.app import build_api
from toolcrib_server.rest.deps import Deps
from toolcrib_server.rest.testing import open_deps

from ..serving import PromptServer

KEY = "admin-key-0123456789"
FAILURES = {
    "down": UpstreamUnavailable("clock", "refused", retry_after_s=3),
    "fussy": InvalidArguments("fussy", [ArgumentProblem("zone", "is missing", "a time zone")]),
}


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    """Open a registry with one live server, guarded by a key."""
    keys = KeyRing([ApiKey("boss", KEY, Role.ADMIN), ApiKey("reader", "r" * 16)])
    stopping = threading.Event()
    opened = open_deps(tmp_path, keys=keys, failures=FAILURES, stopping=stopping.is_set)
    with opened as deps:
        live = Server(name=ServerName("live"), transport=HttpTransport("http://x/mcp"))
        deps.store.add_server(live, actor="test")
        yield deps
        stopping.set()


@pytest.fixture
def url(deps: Deps) -> Iterator[str]:
    """Serve the API on a free loopback port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(build_api(deps), log_level="critical", lifespan="off")
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            # The socket listens before the server does: a first request waits for it.
            listening.listen()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()
