"""Real MCP servers from the package indexes, each in an environment of its own.

They stand on different releases of the MCP SDK, and so speak both eras of the protocol: time on one
that knows nothing later than the handshake, the others on one that does without it. That is why
they share neither an environment with each other nor with Toolcrib.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT_S = 600


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PythonServer:
    """A server on the Python package index: what to install, and what to run."""

    name: str
    packages: tuple[str, ...]
    command: str
    args: tuple[str, ...] = ()


def python_servers(repository: Path) -> tuple[PythonServer, ...]:
    """List the servers of the demo; ``repository`` is what the git one looks after."""
    return (
        PythonServer(
            name="time",
            packages=("mcp-server-time==2026.1.26", "mcp==1.30.0"),
            command="mcp-server-time",
        ),
        PythonServer(
            name="git",
            packages=("mcp-server-git==2026.10.19", "mcp==2.3.0"),
            command="mcp-server-git",
            args=("--repository", str(repository)),
        ),
        PythonServer(
            name="fetch",
            packages=("mcp-server-fetch==2026.10.24", "mcp==2.3.0"),
            command="mcp-server-fetch",
        ),
    )


NODE_PACKAGE = "@modelcontextprotocol/server-everything"
NODE_VERSION = "2026.8.31"


def install_python_server(
    server: PythonServer, folder: Path, say: Callable[[str], None]
) -> list[str]:
    """Make the server's environment unless it is there; return the command that starts it.

    Raises:
        DemoError: It cannot be installed.
    """
    home = folder / server.name
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    stamp = home / ".installed"
    wanted = "\n".join(server.packages)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        started = time.monotonic()
        say(f"  {server.name}: installing {server.packages[0]} …")
        run_or_explain([sys.executable, "-m", "venv", "--clear", str(home)])
        pip = [str(scripts / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        run_or_explain([*pip, "--quiet", *server.packages])
        stamp.write_text(wanted, encoding="utf-8")
        say(f"  {server.name}: ready after {time.monotonic() - started:.0f} s")
    else:
        say(f"  {server.name}: {server.packages[0]} is there")
    return [str(scripts / server.command), *server.args]


def install_node_server(folder: Path, say: Callable[[str], None]) -> list[str] | None:
    """Add the reference server in TypeScript where Node is at hand; None where it is not."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        say("  everything: left out, for there is no Node here")
        return None
    home = folder / "node"
    script = home / "node_modules" / NODE_PACKAGE / "dist" / "index.js"
    stamp = home / ".installed"
    if not (script.is_file() and stamp.is_file() and stamp.read_text() == NODE_VERSION):
        say(f"  everything: installing {NODE_PACKAGE} …")
        home.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            run_or_explain([*install, "--prefix", str(home), f"{NODE_PACKAGE}@{NODE_VERSION}"])
        except DemoError as error:
            say(f"  everything: left out, for npm could not install it ({error})")
            return None
        stamp.write_text(NODE_VERSION)
    say("  everything: ready")
    return [node, str(script)]


def make_repository(folder: Path) -> Path:
    """Make a small git repository with one commit and one change, for the git server to read.

    Raises:
        DemoError: There is no git.
    """
    if shutil.which("git") is None:
        raise DemoError("git is needed by one of the servers; install it and run this again.")
    home = folder / "repository"
    if not (home / ".git").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        (home / "notes.txt").write_text("one\n", encoding="utf-8")
        git = ["git", "-C", str(home), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
        run_or_explain([*git, "init", "--quiet"])
        run_or_explain([*git, "add", "notes.txt"])
        run_or_explain([*git, "commit", "--quiet", "--message", "Start the notes"])
    (home / "notes.txt").write_text("one\ntwo\n", encoding="utf-8")
    return home


def run_or_explain(command: list[str]) -> None:
    """Run a command quietly.

    Raises:
        DemoError: It failed; the message has the end of what it printed.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(f"{command[0]}: {error}") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise DemoError(f"{' '.join(command)} failed:\n{tail}")
