"""Whether a process keeps this data folder's registry in step with its servers.

A lock on a file: the system gives it back when its holder dies, however it dies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from .upstream.processes.family import end_leftovers

_FILE: Final = "serving.lock"
_TRY_AGAIN_S: Final = 5.0


async def be_present(folder: Path) -> None:
    """Hold the lock for as long as this runs, from when nobody else does. Never returns.

    What a Toolcrib that was killed may have left running is ended first.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  # only a process that serves needs it

    lock = FileLock(folder / _FILE, timeout=0, thread_local=False)
    try:
        while True:
            try:
                await anyio.to_thread.run_sync(lock.acquire)
            except (Timeout, OSError):
                await anyio.sleep(_TRY_AGAIN_S)
            else:
                await anyio.to_thread.run_sync(end_leftovers)
                await anyio.sleep_forever()
    finally:
        lock.release(force=True)


def is_anybody_present(folder: Path) -> bool:
    """Tell whether some process holds the lock. Blocks for no time worth naming."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  # few commands need it

    if not (folder / _FILE).exists():
        return False
    lock = FileLock(folder / _FILE, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release(force=True)
    return False
