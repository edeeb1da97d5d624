"""A child process with everything it starts: spawned without a shell, ended without survivors.

Beside each runs a warden, which ends it however Toolcrib ends. Knows nothing of MCP.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
import psutil

from toolcrib_registry.types import StdioTransport
from toolcrib_server.sdk import load_sdk
from toolcrib_server.upstream.failures import LinkLost

from .family import MARK, find_family, make_mark, signal_all, wait_gone
from .keeper import open_keeper
from .leash import Leash
from .stderr_log import StderrWriter
from .tail import StderrTail

_HAS_WARDENS = sys.platform != "win32"
_SEES_ALL = sys.platform == "linux"
"""Whether a warden has every descendant below it, those too that detached themselves."""
_OF_THE_LINKER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_POLL_S = 0.01
_LOOK_S = 0.25
_MOMENT_S = 0.1
_REAP_S = 2.0
_ASKED_S = 0.5
"""Who did not leave when its input was closed has had one grace already."""


class ChildProcess:
    """A running child. Use `open_child`."""

    def __init__(self, process: anyio.abc.Process, mark: str, leash: Leash | None) -> None:
        self._process = process
        self._mark = mark
        self._leash = leash
        self.tail = StderrTail()
        self._is_heard_out = anyio.Event()

    @property
    def pid(self) -> int:
        """Its process id."""
        leash = self._leash
        return self._process.pid if leash is None or leash.pid is None else leash.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it runs. Negative: the signal that ended it."""
        if self._leash is not None and self._leash.exit_code is not None:
            return self._leash.exit_code
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

    async def drain_stderr(self, log: StderrWriter | None = None) -> None:
        """Read its standard error into `tail`, and into a log, until it is closed."""
        assert self._process.stderr is not None
        try:
            if log is not None:
                await anyio.to_thread.run_sync(log.begin, self.pid)
            async for chunk in self._process.stderr:
                self.tail.feed(chunk)
                if log is not None:
                    await anyio.to_thread.run_sync(log.feed, chunk)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            return
        finally:
            self._is_heard_out.set()
            if log is not None:
                with anyio.CancelScope(shield=True):
                    # It may just have ended by itself: its exit code comes a moment later.
                    await self.wait_exit(_MOMENT_S)
                    await anyio.to_thread.run_sync(log.end, self.exit_code)

    async def hear_out(self, timeout_s: float) -> None:
        """Wait until `drain_stderr` has read all; what it started may hold its end open longer."""
        with anyio.move_on_after(timeout_s):
            await self._is_heard_out.wait()

    async def end(self, *, grace_s: float) -> None:
        """Close its input, wait, terminate, kill: it and every descendant, however detached.

        Takes at most about a grace and three seconds.
        """
        family = set[psutil.Process]() if _SEES_ALL else await self._find_family()
        await _close_quietly(self.stdin)
        if self._leash is not None:
            await self._end_by_warden(self._leash, grace_s)
        else:
            await self.wait_exit(grace_s)
        if self._is_unwatched:
            family |= await self._find_family()
            await self._end_family(family, grace_s)
        await self._release()

    @property
    def _is_unwatched(self) -> bool:
        """Whether some descendant may live of which no warden knows, for it was killed itself."""
        leash = self._leash
        return not _SEES_ALL or leash is None or leash.exit_code is None

    async def _end_by_warden(self, leash: Leash, grace_s: float) -> None:
        # The warden leaves when nobody is left for it to watch over.
        if not await self._wait_left(grace_s):
            leash.ask()
            if not await self._wait_left(min(grace_s, _ASKED_S)):
                leash.kill()
                await self._wait_left(_REAP_S)

    async def _find_family(self) -> set[psutil.Process]:
        return await anyio.to_thread.run_sync(find_family, self._process.pid, self._mark)

    async def _end_family(self, family: set[psutil.Process], grace_s: float) -> None:
        for kill, patience_s in ((False, grace_s), (True, _REAP_S)):
            signal_all(family, kill=kill)
            if self.exit_code is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    (self._process.kill if kill else self._process.terminate)()
            await anyio.to_thread.run_sync(wait_gone, family, patience_s)
            await self.wait_exit(_POLL_S)
            family |= await self._find_family()
        await self.wait_exit(_REAP_S)

    async def wait_ended(self) -> None:
        """Wait until it has ended, though what it started may live on."""
        if self._leash is not None:
            await self._leash.ended.wait()
        while self.exit_code is None:  # noqa: ASYNC110  # as below
            await anyio.sleep(_LOOK_S)

    async def wait_exit(self, timeout_s: float) -> None:
        """Wait until it has ended, or the time is up."""
        # Not process.wait(): it also waits for the pipes, which a descendant may hold open.
        deadline = anyio.current_time() + timeout_s
        while self.exit_code is None and anyio.current_time() < deadline:  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(_POLL_S)

    async def _wait_left(self, timeout_s: float) -> bool:
        deadline = anyio.current_time() + timeout_s
        while self._process.returncode is None and anyio.current_time() < deadline:  # noqa: ASYNC110  # as above
            await anyio.sleep(_POLL_S)
        return self._process.returncode is not None

    async def _release(self) -> None:
        if self._leash is not None:
            self._leash.close()
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
    load_sdk()
    from mcp.client.stdio import get_default_environment  # noqa: PLC0415  # slow: see `sdk`

    mark = make_mark()
    environment = get_default_environment() | dict(transport.env) | {MARK: mark}
    argv = [transport.command, *transport.args]
    if transport.cwd is not None and not await anyio.Path(transport.cwd).is_dir():
        reason = f"its working directory {transport.cwd!r} does not exist"
        raise LinkLost(reason, delivered=False)
    async with contextlib.AsyncExitStack() as stack:
        if not _HAS_WARDENS:
            keeper = await stack.enter_async_context(open_keeper())
            await keeper.keep(MARK, mark)
        child = await _start(argv, environment, transport.cwd, mark)
        try:
            yield child
        finally:
            with anyio.CancelScope(shield=True):
                await child.end(grace_s=grace_s)


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], cwd: str | None, mark: str
) -> ChildProcess:
    try:
        if _HAS_WARDENS:
            return await _start_watched(argv, environment, cwd, mark)
        return ChildProcess(await _spawn(argv, environment, cwd), mark, None)
    except FileNotFoundError:
        reason = f"the command {argv[0]!r} was not found; install it or give its full path"
        raise LinkLost(reason, delivered=False) from None
    except (OSError, ValueError) as error:  # a timeout is an OSError
        reason = f"the command {argv[0]!r} cannot be run: {error}"
        raise LinkLost(reason, delivered=False) from error


async def _start_watched(
    argv: Sequence[str], environment: Mapping[str, str], cwd: str | None, mark: str
) -> ChildProcess:
    if any("\0" in text for text in (*argv, *environment, *environment.values())):
        raise ValueError("embedded null byte")
    leash = Leash()
    try:
        process = await _spawn(leash.program, _environment(), None, (leash.far_end,))
    except BaseException:
        leash.close()
        raise
    child = ChildProcess(process, mark, leash)
    try:
        await leash.order(argv, environment, cwd)
    except BaseException:
        with anyio.CancelScope(shield=True):
            leash.close()
            await child.end(grace_s=_REAP_S)
        raise
    return child


def _environment() -> dict[str, str]:
    """Give a warden itself enough to run as Toolcrib does, and no secret."""
    load_sdk()
    from mcp.client.stdio import get_default_environment  # noqa: PLC0415  # slow: see `sdk`

    needed = {name: os.environ[name] for name in _OF_THE_LINKER if name in os.environ}
    return get_default_environment() | needed


async def _spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    cwd: str | None,
    pass_fds: Sequence[int] = (),
) -> anyio.abc.Process:
    # Cancelled midway it would leave a process behind that nobody waits for.
    with anyio.CancelScope(shield=True):
        return await anyio.open_process(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    raise AssertionError("what is shielded is not cancelled")


async def _close_quietly(stream: anyio.abc.AsyncResource) -> None:
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.aclose()
