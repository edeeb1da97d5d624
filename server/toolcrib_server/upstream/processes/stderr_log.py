"""What servers said on their standard error, kept on disk: bounded, readable to its owner alone.

Each line bears its time, and restarts leave theirs behind; any process may read it. Knows files;
what must not be shown is masked before it comes here.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from toolcrib_registry.types import ServerName

MOST_BYTES = 256 * 1024
"""Of one file; there are two for each server, the older one full."""
_MOST_LINE_CHARS = 4000
_MOST_OPEN_BYTES = 64 * 1024


class StderrLogs:
    """The logs of all servers, in one folder, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, server: ServerName, lines: Sequence[str]) -> None:
        """Add lines. What cannot be written is dropped: a full disk must not end a server."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = "".join(f"{now} {line[:_MOST_LINE_CHARS]}\n" for line in lines)
        with contextlib.suppress(OSError):
            self._append(self._path(server), text.encode("utf-8", "replace"))

    def read(self, server: ServerName, *, lines: int) -> tuple[str, ...]:
        """Read the last lines, oldest first; empty where nothing was ever said."""
        path = self._path(server)
        text = b""
        for each in (_older(path), path):
            with contextlib.suppress(OSError):
                text += each.read_bytes()
        return tuple(text.decode("utf-8", "replace").splitlines()[-lines:]) if lines else ()

    def remove(self, server: ServerName) -> None:
        """Forget what a server said."""
        path = self._path(server)
        for each in (path, _older(path)):
            with contextlib.suppress(OSError):
                each.unlink()

    def _path(self, server: ServerName) -> Path:
        return self._folder / f"{quote(server, safe='')}.log"

    def _append(self, path: Path, data: bytes) -> None:
        # Opened each time: other processes write here too, and put the full one aside.
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            os.write(descriptor, data[-MOST_BYTES:])
        finally:
            os.close(descriptor)
        if size + len(data) > MOST_BYTES:
            path.replace(_older(path))


class StderrWriter:
    """Cuts what one process says into lines, and writes them, masked, into its server's log."""

    def __init__(self, logs: StderrLogs, server: ServerName, redact: Callable[[str], str]) -> None:
        self._logs = logs
        self._server = server
        self._redact = redact
        self._open = b""

    def begin(self, pid: int) -> None:
        """Note that a process was started. Writes a file."""
        self._logs.write(self._server, [f"--- started as process {pid}"])

    def feed(self, chunk: bytes) -> None:
        """Take in what was read. Writes a file."""
        *lines, self._open = (self._open + chunk).split(b"\n")
        if len(self._open) > _MOST_OPEN_BYTES:
            lines, self._open = [*lines, self._open], b""
        self._write(lines)

    def end(self, exit_code: int | None) -> None:
        """Note that the process has ended. Writes a file."""
        self._write([self._open] if self._open else [])
        how = "was closed" if exit_code is None else f"ended with exit code {exit_code}"
        self._logs.write(self._server, [f"--- {how}"])

    def _write(self, lines: Sequence[bytes]) -> None:
        # Masked whole: a secret may have been cut where a line is too long to be kept.
        said = [self._redact(line.decode("utf-8", "replace").rstrip()) for line in lines]
        if any(said):
            self._logs.write(self._server, [_printable(line) for line in said if line])


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _printable(line: str) -> str:
    """Leave out what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
