"""Standard input and output, taken for one conversation: nothing else reads or writes them.

Waits only where it can be cancelled, and leaves the descriptors' flags alone: other processes may
share them.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial

import anyio
import anyio.to_thread

_CHUNK_BYTES = 256 * 1024
_LEAST_ATOMIC_BYTES = 512
_LAST_STANDARD = 2


class _Readiness:
    """Waits until a descriptor is ready, without a thread and without a change to it.

    The loop is given the selector to wait for, not the descriptor, which it would make non-blocking
    for every process that has it.
    """

    def __init__(self, fd: int, events: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._fd = getattr(self._selector, "fileno", lambda: None)()
        try:
            self._selector.register(fd, events)
        except (OSError, ValueError):  # a file, or a device that has nothing to wait for
            self._fd = None

    @property
    def can_wait(self) -> bool:
        """Whether there is anything to wait for; else reading and writing never take long."""
        return self._fd is not None

    async def wait(self) -> None:
        """Wait until it is ready."""
        assert self._fd is not None
        while not self._selector.select(0):
            await anyio.wait_readable(self._fd)

    def close(self) -> None:
        """Stop watching."""
        self._selector.close()


class Inlet:
    """Reads a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ready = _Readiness(fd, selectors.EVENT_READ)

    async def receive(self) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            OSError: It cannot be read.
        """
        if self._ready.can_wait:
            await self._ready.wait()
            return os.read(self._fd, _CHUNK_BYTES)
        read = partial(os.read, self._fd, _CHUNK_BYTES)
        return await anyio.to_thread.run_sync(read, abandon_on_cancel=True)

    def close(self) -> None:
        """Let go of it; the descriptor stays open."""
        self._ready.close()


class Outlet:
    """Writes a descriptor, for one writer at a time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ready = _Readiness(fd, selectors.EVENT_WRITE)
        # What a pipe that is ready takes without making the writer wait.
        self._atomic_bytes: int = getattr(select, "PIPE_BUF", _LEAST_ATOMIC_BYTES)
        self._socket: socket.socket | None = None
        if self._ready.can_wait and stat.S_ISSOCK(os.fstat(fd).st_mode):
            self._socket = socket.socket(fileno=os.dup(fd))

    async def send(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OSError: Nobody reads any more.
        """
        left = memoryview(data)
        while left:
            left = left[await self._write(left) :]

    def has_reader(self) -> bool:
        """Whether anybody may still read what is written."""
        if not self._ready.can_wait:
            return True
        poll = select.poll()
        poll.register(self._fd, 0)
        gone = select.POLLERR | select.POLLNVAL | select.POLLHUP
        return not any(event & gone for _, event in poll.poll(0))

    def close(self) -> None:
        """Let go of it; the descriptor stays open."""
        self._ready.close()
        if self._socket is not None:
            self._socket.close()

    async def _write(self, data: memoryview) -> int:
        if not self._ready.can_wait:
            return await anyio.to_thread.run_sync(os.write, self._fd, data, abandon_on_cancel=True)
        await self._ready.wait()
        if self._socket is None:
            return os.write(self._fd, data[: self._atomic_bytes])
        with suppress(BlockingIOError):
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return 0


@contextmanager
def claimed_stdio() -> Generator[tuple[Inlet, Outlet]]:
    """Take standard input and output away from everything else in this process.

    Meanwhile who reads them finds them empty, and what is printed goes to standard error, child
    processes included: a stray word would break the conversation.
    """
    sys.stdout.flush()
    with _moved(0) as read_fd, _moved(1) as write_fd:
        _point(0, partial(os.open, os.devnull, os.O_RDONLY))
        _point(1, partial(os.dup, 2))
        inlet, outlet = Inlet(read_fd), Outlet(write_fd)
        try:
            yield inlet, outlet
        finally:
            sys.stdout.flush()
            inlet.close()
            outlet.close()


@contextmanager
def _moved(fd: int) -> Generator[int]:
    """Give a descriptor another number, and its own back at the end."""
    moved = _dup_high(fd)
    try:
        yield moved
    finally:
        os.dup2(moved, fd)
        # It stays open: a thread may still be waiting on it, and its number must not be used again.


def _dup_high(fd: int) -> int:
    """Duplicate a descriptor, out of the way of the standard ones and of child processes."""
    found: list[int] = []
    while (copy := os.dup(fd)) <= _LAST_STANDARD:
        found.append(copy)
    for low in found:
        os.close(low)
    return copy


def _point(fd: int, open_other: partial[int]) -> None:
    try:
        other = open_other()
    except OSError:
        other = os.open(os.devnull, os.O_RDWR)
    os.dup2(other, fd)
    os.close(other)
