"""Ends long work in a thread soon after nobody waits for it: no thread can be ended from outside.

One that went on would keep the process, and write to a store that was closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio.from_thread


class _Over(Exception):
    """Nobody waits for the work any more. Never leaves its thread."""


@contextmanager
def heeding(
    on_progress: Callable[[int, int], None] | None,
) -> Generator[Callable[[int, int], None]]:
    """Give work in a thread what it tells of its progress; that ends it when the wait is over."""
    is_over = threading.Event()

    def show(done: int, total: int) -> None:
        # A scope's cancellation waits for the thread, a task's own does not.
        anyio.from_thread.check_cancelled()
        if is_over.is_set():
            raise _Over
        if on_progress:
            on_progress(done, total)

    try:
        yield show
    finally:
        is_over.set()
