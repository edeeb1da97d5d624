"""Runs one command, and sees to it that nothing of it outlives Toolcrib: a program of its own.

Toolcrib holds the other end of its lifeline, a socket: when that closes, however Toolcrib ended,
all that the command started is ended, detached or not. Knows nothing of MCP, and imports only a
little of the standard library, for one of it runs beside each server.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

POLITELY = b"T"
"""Have everybody asked to leave (SIGTERM)."""
AT_ONCE = b"K"
"""Have everybody killed."""

_GRACE_S = 1.0
"""How long the command may take to leave when its input was closed, and again when it was asked."""
_KILLING_S = 10.0
_PAUSE_S = 0.02
_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_ON_LINUX = sys.platform == "linux"
_RESTORED = ("SIGPIPE", "SIGXFSZ")
"""Python ignores these; a command expects them as they were."""


class Warden:
    """The program, once its command runs."""

    def __init__(self, lifeline: int, wake: int, child: int) -> None:
        self._lifeline = lifeline
        self._wake = wake
        self._child = child
        self._status: int | None = None
        self._is_orphan = False
        self._ask_at: float | None = None
        self._kill_at: float | None = None
        self._known: set[int] = set()
        """Where orphans are not handed to us: all who were below us when they were asked to go."""

    def watch(self) -> int:
        """Stay until nobody is left; return the wait status of the command."""
        while self._reap():
            self._take_steps()
            watched = [self._wake] if self._is_orphan else [self._wake, self._lifeline]
            ready, _, _ = select.select(watched, [], [], self._patience_s())
            if self._wake in ready and _says_leave(os.read(self._wake, 512)):
                self._begin_to_end()
            if self._lifeline in ready:
                self._obey()
        return self._status or 0

    def _reap(self) -> bool:
        """Take note of who has ended; return whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return any(map(_is_alive, self._known))
            if pid == 0:
                return True
            if pid == self._child:
                self._status = status
                self._tell(b"exit %d\n" % os.waitstatus_to_exitcode(status))

    def _tell(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody there: that will be noticed by reading
            os.write(self._lifeline, line)

    def _obey(self) -> None:
        try:
            orders = os.read(self._lifeline, 64)
        except OSError:
            orders = b""
        if AT_ONCE in orders:
            self._kill_at = time.monotonic()
        elif POLITELY in orders:
            self._ask_all()
        elif not orders:
            self._is_orphan = True
            self._begin_to_end()

    def _begin_to_end(self) -> None:
        if self._ask_at is None and self._kill_at is None:
            self._ask_at = time.monotonic() + _GRACE_S

    def _take_steps(self) -> None:
        now = time.monotonic()
        if self._ask_at is not None and now >= self._ask_at:
            self._ask_all()
            self._ask_at, self._kill_at = None, now + _GRACE_S
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_all()

    def _ask_all(self) -> None:
        below = [*descendants()]
        if not _ON_LINUX:
            self._known.update(below)
        signal_all(below, signal.SIGTERM)

    def _kill_all(self) -> None:
        # Again and again: what one starts while the others are being killed becomes our own child.
        until = time.monotonic() + _KILLING_S
        signal_all(self._known, signal.SIGKILL)
        while signal_all(descendants(), signal.SIGKILL) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
            self._reap()

    def _patience_s(self) -> float | None:
        due = [at for at in (self._ask_at, self._kill_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None


def _says_leave(numbers: bytes) -> bool:
    return signal.SIGTERM in numbers or signal.SIGINT in numbers


def signal_all(pids: Iterable[int], number: signal.Signals) -> int:
    """Signal these processes; return how many there are."""
    count = 0
    for pid in [*pids]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            count += 1
    return count


def descendants() -> Iterator[int]:
    """Find every process below this one that has not ended."""
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    below = children.get(os.getpid(), [])
    while below:
        pid = below.pop()
        below += children.get(pid, [])
        yield pid


def _processes() -> Iterator[tuple[int, int]]:
    """List each process that has not ended, with its parent."""
    if not _ON_LINUX:
        yield from _processes_by_ps()
        return
    for name in os.listdir("/proc"):  # noqa: PTH208  # lighter by a megabyte than pathlib
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  # as above
                    # The name of the program, in brackets, may hold anything.
                    state, parent = file.read().rpartition(b") ")[2].split()[:2]
                if state not in {b"Z", b"X"}:
                    yield int(name), int(parent)


def _processes_by_ps() -> Iterator[tuple[int, int]]:
    import subprocess  # noqa: PLC0415  # only this system needs it

    argv = ("/bin/ps", "-axo", "pid=,ppid=,stat=")
    listed = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout
    for line in listed.splitlines():
        pid, parent, state = line.split()[:3]
        if not state.startswith("Z"):
            yield int(pid), int(parent)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _prctl(option: int, value: int) -> None:
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(argv: list[str], environment: dict[str, str], cwd: str | None) -> int:
    """Run the command in a session of its own.

    Raises:
        OSError: It cannot be.
    """
    told, tell = os.pipe()
    warden, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            os.setsid()
            # The command itself dies even with a warden that was killed and could not see to it.
            _prctl(_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != warden:
                os._exit(1)
            for name in _RESTORED:
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            if cwd is not None:
                os.chdir(cwd)
            os.execvpe(argv[0], argv, environment)  # noqa: S606  # without one it is
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or 0))
        except (ValueError, TypeError):
            os.write(tell, b"0")
        os._exit(127)
    os.close(tell)
    failure = os.read(told, 64)
    os.close(told)
    if failure:
        os.waitpid(pid, 0)
        raise OSError(int(failure), os.strerror(int(failure)))
    return pid


def _listen() -> int:
    """Have signals that matter written to a pipe; return where to read them."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return wake


def _ignore(number: int, frame: object) -> None:
    """Do nothing: what matters is written to the pipe, and a handler does not outlive an exec."""


def _read_order(lifeline: int) -> tuple[list[str], dict[str, str], str | None]:
    size = int.from_bytes(_read_exactly(lifeline, 8))
    order: Any = marshal.loads(_read_exactly(lifeline, size))  # noqa: S302  # from Toolcrib
    return order


def _read_exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        if not part:
            sys.exit(0)  # Toolcrib has ended before it said what to run
        data += part
    return data


def _close_all_but(lifeline: int) -> None:
    """Let go of what was inherited by accident: a copy of its output would hide that it closed it.

    (uvloop leaves a child its own end of each pipe twice.)
    """
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  # lighter by a megabyte than pathlib
        if int(name) > 2 and int(name) != lifeline:  # noqa: PLR2004  # the standard streams
            with contextlib.suppress(OSError):
                os.close(int(name))


def _let_go_of_streams() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.chdir("/")


def _end_as(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))


def main() -> None:
    """Run what the lifeline, a descriptor named on the command line, says."""
    lifeline = int(sys.argv[1])
    os.set_inheritable(lifeline, False)  # noqa: FBT003
    _close_all_but(lifeline)
    argv, environment, cwd = _read_order(lifeline)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    wake = _listen()
    try:
        child = _start(argv, environment, cwd)
    except OSError as error:
        os.write(lifeline, b"error %d\n" % (error.errno or 0))
        return
    os.write(lifeline, b"pid %d\n" % child)
    _let_go_of_streams()
    _end_as(Warden(lifeline, wake, child).watch())


if __name__ == "__main__":
    main()
