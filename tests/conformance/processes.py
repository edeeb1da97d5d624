"""Real processes for a run: fixtures servers, and a Toolcrib with them behind it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
LAUNCHER = Path(__file__).with_name("fixtures.py")
START_TIMEOUT_S = 60
END_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class House:
    """A running Toolcrib."""

    url: str
    environment: Mapping[str, str]

    def passing(self, server: str) -> str:
        """Return the URL of a server's pass-through endpoint."""
        return f"{self.url}/servers/{server}/mcp"


@contextmanager
def serving_fixtures(home: Path, era: str | None = None) -> Generator[str]:
    """Run a fixtures server over HTTP; give its URL."""
    port = free_port()
    command = [sys.executable, str(LAUNCHER), "http", str(port), *([era] if era else [])]
    with running(command, {**os.environ, "PYTHONPATH": str(home)}) as log:
        wait_for(f"http://127.0.0.1:{port}/", log)
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def serving_house(folder: Path, servers: Mapping[str, list[str]]) -> Generator[House]:
    """Register servers with ``toolcrib add``, and run ``toolcrib serve``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOOLCRIB_")}
    environment = {**own, "TOOLCRIB_DATA_DIR": str(folder)}
    for name, options in servers.items():
        added = subprocess.run(
            [str(TOOLCRIB), "add", name, *options],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
        )
        if added.returncode:
            raise SystemExit(f"conformance: {name} is not added:\n{added.stderr[-2000:]}")
    port = free_port()
    with running([str(TOOLCRIB), "serve", "--port", str(port)], environment) as log:
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield House(f"http://127.0.0.1:{port}", environment)


@contextmanager
def running(command: list[str], environment: Mapping[str, str]) -> Generator[Path]:
    """Run a process while the block runs; give where it writes what it says."""
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield Path(log.name)
        finally:
            process.terminate()
            try:
                process.wait(timeout=END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Find a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, log: Path) -> None:
    """Wait until something that is ready answers there.

    Raises:
        SystemExit: It took too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code < 500:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"conformance: nothing answers at {url}:\n{log.read_text()[-2000:]}")
