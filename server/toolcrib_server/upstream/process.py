"""A child process with everything it starts: spawned without a shell, ended without survivors.

Knows nothing of MCP.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
import psutil
from mcp.client.stdio import get_default_environment

from toolcrib_registry.types import StdioTransport

from .failures import LinkLost

MARK = "TOOLCRIB_CONNECTION"
"""Environment variable by which a child's descendants are known, even those that detached."""

_TAIL_LINES = 200
_TAIL_BYTES = 64 * 1024
_POLL_S = 0.01
_REAP_S = 2.0


class StderrTail:
    """The last lines of a stream: at most 200 lines and 64 KiB."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._size = 0
        self._open = b""

    def feed(self, chunk: bytes) -> None:
        """Take in what was read; a line is cut at the size of the whole tail."""
        *lines, self._open = (self._open + chunk).split(b"\n")
        for line in lines:
            self._keep(line)
        self._open = self._open[-_TAIL_BYTES:]

    def lines(self) -> tuple[str, ...]:
        """Return the lines, oldest first, with the unfinished one last."""
        kept = [*self._lines, self._open] if self._open else [*self._lines]
        return tuple(line.decode("utf-8", "replace").rstrip() for line in kept)

    def _keep(self, line: bytes) -> None:
        if len(self._lines) == _TAIL_LINES:
            self._size -= len(self._lines[0])
        self._lines.append(line[-_TAIL_BYTES:])
        self._size += len(self._lines[-1])
        while self._size > _TAIL_BYTES:
            self._size -= len(self._lines.popleft())


class ChildProcess:
    """A running child. Use `open_child`."""

    def __init__(self, process: anyio.abc.Process, mark: str) -> None:
        self._process = process
        self._mark = mark
        self.tail = StderrTail()

    @property
    def mark(self) -> str:
        """What `MARK` is set to in its environment, and in that of all it starts."""
        return self._mark

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs. Negative: the signal that ended it."""
        return self._process.returncode

    @property
    def stdin(self) -> anyio.abc.ByteSendStream:
        """What it reads."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> anyio.abc.ByteReceiveStream:
        """What it writes."""
        assert self._process.stdout is not None
        return self._process.stdout

    async def drain_stderr(self) -> None:
        """Read its standard error into `tail` until it is closed."""
        assert self._process.stderr is not None
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async for chunk in self._process.stderr:
                self.tail.feed(chunk)

    async def end(self, *, grace_s: float) -> None:
        """Close its input, wait, terminate, kill: it and every descendant, however detached.

        Takes at most about two graces and two seconds.
        """
        family = await anyio.to_thread.run_sync(_find_family, self.pid, self._mark)
        await _close_quietly(self.stdin)
        await self.wait_exit(grace_s)
        # Again: it may have started others since, and those it orphaned are found by the mark.
        family |= await anyio.to_thread.run_sync(_find_family, self.pid, self._mark)
        if self.exit_code is None or any(map(_is_alive, family)):
            await self._terminate(family, grace_s=grace_s)
        await self._release()

    async def _terminate(self, family: set[psutil.Process], *, grace_s: float) -> None:
        self._signal_group(signal.SIGTERM)
        _signal(family, kill=False)
        await anyio.to_thread.run_sync(_wait_gone, family, grace_s)
        await self.wait_exit(_POLL_S)
        family |= await anyio.to_thread.run_sync(_find_family, self.pid, self._mark)
        if sys.platform != "win32":
            self._signal_group(signal.SIGKILL)
        _signal(family, kill=True)
        await anyio.to_thread.run_sync(_wait_gone, family, _REAP_S)
        await self.wait_exit(_REAP_S)

    def _signal_group(self, number: signal.Signals) -> None:
        # Once the child is reaped its number may be another's; the family is held by identity.
        if sys.platform != "win32" and self.exit_code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def wait_exit(self, timeout_s: float) -> None:
        """Wait until it has ended, or the time is up."""
        # Not process.wait(): it also waits for the pipes, which a descendant may hold open.
        deadline = anyio.current_time() + timeout_s
        while self.exit_code is None and anyio.current_time() < deadline:  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(_POLL_S)

    async def _release(self) -> None:
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                await _close_quietly(stream)
        # The event loop's own handle of the child stays open, and warns when collected, while a
        # pipe end survives somewhere; nothing public reaches it.
        transport = getattr(getattr(self._process, "_process", None), "_transport", None)
        if transport is not None:
            with contextlib.suppress(PermissionError):
                transport.close()
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def open_child(transport: StdioTransport, *, grace_s: float) -> AsyncGenerator[ChildProcess]:
    """Run a command in a session of its own; end it, and all it started, on the way out.

    It inherits only the variables the SDK holds for safe, and those declared.

    Raises:
        LinkLost: The command cannot be started.
    """
    mark = uuid.uuid4().hex
    environment = get_default_environment() | dict(transport.env) | {MARK: mark}
    process = await _spawn([transport.command, *transport.args], environment, transport.cwd)
    child = ChildProcess(process, mark)
    try:
        yield child
    finally:
        with anyio.CancelScope(shield=True):
            await child.end(grace_s=grace_s)


async def _spawn(
    argv: Sequence[str], environment: dict[str, str], cwd: str | None
) -> anyio.abc.Process:
    if cwd is not None and not await anyio.Path(cwd).is_dir():
        raise LinkLost(f"its working directory {cwd!r} does not exist", delivered=False)
    try:
        return await anyio.open_process(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError:
        reason = f"the command {argv[0]!r} was not found; install it or give its full path"
        raise LinkLost(reason, delivered=False) from None
    except (OSError, ValueError) as error:
        reason = f"the command {argv[0]!r} cannot be run: {error}"
        raise LinkLost(reason, delivered=False) from error


def _find_family(pid: int, mark: str) -> set[psutil.Process]:
    """Find the child's descendants, by parentage and by the mark in their environment."""
    family: set[psutil.Process] = set()
    with contextlib.suppress(psutil.Error):
        family |= set(psutil.Process(pid).children(recursive=True))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # The child itself is the event loop's to wait for.
            if process.pid != pid and process.environ().get(MARK) == mark:
                family.add(process)
    return family


def _wait_gone(family: Iterable[psutil.Process], timeout_s: float) -> None:
    # Not psutil.wait_procs: an orphan may stay a zombie for as long as its new parent likes.
    deadline = time.monotonic() + timeout_s
    while any(map(_is_alive, family)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _signal(family: Iterable[psutil.Process], *, kill: bool) -> None:
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            (process.kill if kill else process.terminate)()


async def _close_quietly(stream: anyio.abc.AsyncResource) -> None:
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.aclose()
