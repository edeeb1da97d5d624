"""Toolcrib's end of the lifeline to a warden: what it is told, and what it tells it.

Knows the warden's words; knows no pipes, and nothing of MCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from .warden import AT_ONCE, POLITELY

_START_S = 60.0
_SPOKEN_BYTES = 4096


class Leash:
    """A lifeline. Closing it ends all that the warden watches over."""

    def __init__(self) -> None:
        """Make both ends; hand `far_end` over, then `let_go_of_far_end`.

        Raises:
            OSError: There are too many open files.
        """
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)  # noqa: FBT003  # the name says which
        self._heard = b""
        self._started = anyio.Event()
        self.ended = anyio.Event()
        """The command has ended, or nothing will be heard of it any more."""
        self._errno: int | None = None
        self._is_read = False
        self.pid: int | None = None
        self.exit_code: int | None = None
        """Of the command; None while it runs. Negative: the signal that ended it."""

    @property
    def far_end(self) -> int:
        """The descriptor that the warden inherits."""
        return self._far.fileno()

    @property
    def program(self) -> list[str]:
        """What runs the warden of this lifeline."""
        path = Path(__file__).with_name("warden.py")
        return [sys.executable, "-I", "-S", str(path), str(self.far_end)]

    async def order(
        self, argv: Sequence[str], environment: Mapping[str, str], cwd: str | None
    ) -> None:
        """Say what to run, and wait until it runs.

        Raises:
            OSError: It cannot be run.
            TimeoutError: The warden says nothing.
        """
        self._far.close()
        loop = asyncio.get_running_loop()
        data = marshal.dumps(([*argv], dict(environment), cwd))
        with anyio.fail_after(_START_S):
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(self._near, len(data).to_bytes(8) + data)
            loop.add_reader(self._near, self._hear)
            self._is_read = True
            await self._started.wait()
        if self.pid is None:
            errno = self._errno or 0
            raise OSError(errno, os.strerror(errno) if errno else "its warden could not start it")

    def ask(self) -> None:
        """Have everybody asked to leave."""
        self._tell(POLITELY)

    def kill(self) -> None:
        """Have everybody killed."""
        self._tell(AT_ONCE)

    def close(self) -> None:
        """Let go: the warden ends whoever is left, and itself."""
        if self._is_read:
            self._is_read = False
            asyncio.get_running_loop().remove_reader(self._near)
        self._near.close()
        self._far.close()

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._near.send(word)

    def _hear(self) -> None:
        try:
            data = self._near.recv(_SPOKEN_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._is_read = False
            asyncio.get_running_loop().remove_reader(self._near)
            self._started.set()
            self.ended.set()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        word, _, number = line.partition(b" ")
        match word:
            case b"pid":
                self.pid = int(number)
            case b"exit":
                self.exit_code = int(number)
                self.ended.set()
            case _:
                self._errno = int(number)
        self._started.set()
