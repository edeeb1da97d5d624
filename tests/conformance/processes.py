"""Real processes for a run: fixtures servers, and a Toolcrib with them behind it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from .kit import ROOT

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
LAUNCHER = Path(__file__).with_name("fixtures.py")
START_TIMEOUT_S = 120
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
    command = [sys.executable, str(LAUNCHER), "http", *([era] if era else [])]
    with running(command, {**os.environ, "PYTHONPATH": str(home)}) as log:
        url = address_in(log)
        wait_for(f"{url}/", log)
        yield f"{url}/mcp"


@contextmanager
def serving_house(folder: Path, servers: Mapping[str, list[str]]) -> Generator[House]:
    """Register servers with ``toolcrib add``, and run ``toolcrib serve``."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOOLCRIB_")}
    # The tests have exported the encoder there: it takes long where all processors are busy.
    kept = {"TOOLCRIB_DATA_DIR": str(folder), "TOOLCRIB_CACHE_DIR": str(ROOT / ".cache")}
    environment = {**own, **kept}
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
    with running([str(TOOLCRIB), "serve", "--port", "0"], environment) as log:
        url = address_in(log)
        wait_for(f"{url}/healthz", log)
        yield House(url, environment)


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


def address_in(log: Path) -> str:
    """Wait until a server has said where it listens: a port chosen for it may be taken by then.

    Raises:
        SystemExit: It took too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if said := re.search(r"http://127\.0\.0\.1:\d+(?=\D)", log.read_text()):
            return said[0]
        time.sleep(0.1)
    raise SystemExit(f"conformance: a server does not start:\n{log.read_text()[-2000:]}")


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
