"""Finds and ends processes by a mark in their environment, which what they start inherits.

For where no warden sees to it: where the system lets none, and where one was itself killed.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterable

import psutil

MARK = "TOOLCRIB_CONNECTION"
"""Environment variable by which a child's descendants are known, even those that detached."""

_POLL_S = 0.01


def make_mark() -> str:
    """Make a mark of its own for one child; it says who started it."""
    return f"{os.getpid()}-{_began(os.getpid())}-{uuid.uuid4().hex}"


def find_family(pid: int, mark: str) -> set[psutil.Process]:
    """Find a process's descendants, by parentage and by their mark, and not the process itself."""
    family: set[psutil.Process] = set()
    with contextlib.suppress(psutil.Error):
        family |= set(psutil.Process(pid).children(recursive=True))
    family |= {each for each, found in _marked() if found == mark and each.pid != pid}
    return family


def end_leftovers() -> int:
    """Kill what bears the mark of a process that is no more; return how many there were.

    That takes a warden and its Toolcrib to be killed at the same moment.
    """
    left = [each for each, mark in _marked() if not _has_owner(mark)]
    signal_all(left, kill=True)
    return len(left)


def signal_all(family: Iterable[psutil.Process], *, kill: bool) -> None:
    """Ask each to leave, or kill it."""
    for process in family:
        with contextlib.suppress(psutil.Error, OSError):
            (process.kill if kill else process.terminate)()


def wait_gone(family: Iterable[psutil.Process], timeout_s: float) -> None:
    """Wait until none of them lives, or the time is up."""
    # Not psutil.wait_procs: an orphan may stay a zombie for as long as its new parent likes.
    deadline = time.monotonic() + timeout_s
    while any(map(is_alive, family)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _marked() -> Iterable[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get(MARK)
            if mark:
                yield process, mark


def _has_owner(mark: str) -> bool:
    owner, _, rest = mark.partition("-")
    began = rest.partition("-")[0]
    if not owner.isdecimal():
        return True  # made by a version that did not say
    return _began(int(owner)) == began


def _began(pid: int) -> str:
    """When a process began: with its number, that is its identity."""
    try:
        return str(int(psutil.Process(pid).create_time() * 100))
    except psutil.Error:
        return ""
