"""Ends a child when Toolcrib was killed and could not, where no warden can: a program beside it.

It reads from a pipe that only Toolcrib holds open. When that closes, whoever bears the mark it was
told is killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import psutil

_ROUNDS = 5
_PAUSE_S = 0.2


class Keeper:
    """The program, as Toolcrib sees it."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process

    async def keep(self, variable: str, mark: str) -> None:
        """Have it end, when the time comes, every process with this variable set to this mark."""
        assert self._process.stdin is not None
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._process.stdin.send(f"{variable}\n{mark}\n".encode())

    async def let_go(self) -> None:
        """Have it do so now, as when Toolcrib ends."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()


@asynccontextmanager
async def open_keeper() -> AsyncGenerator[Keeper]:
    """Run it for the length of a block. Whom it keeps must be ended before the block is."""
    process = await anyio.open_process(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Keeper(process)
    finally:
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.aclose()


def end_marked(variable: str, mark: str) -> int:
    """Kill every process whose environment has the mark; return how many there were."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == mark:
                process.kill()
                count += 1
    return count


def _run() -> None:
    variable, mark, *_ = [*sys.stdin.read().split("\n"), "", ""]
    rounds = _ROUNDS if variable and mark else 0
    # Again: one that was being started while we looked is found the next time.
    while rounds and end_marked(variable, mark):
        rounds -= 1
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _run()
