"""Whether a process has taken up what was learned before it began; whoever chooses waits for that.

Once for each process, and not for long. Knows not what is learned.
"""

from __future__ import annotations

import time
from typing import Final

import anyio

LONGEST_S: Final = 5.0
"""Of all who wait together, from the first of them on; the index is open by then."""
FAILED: Final = "it could not be read; the log says more."
"""Where the error itself may tell of somebody's query."""
_STILL_READ: Final = "it is still being read. Ask again in a moment."


class TakingUp:
    """The first look at what was learned, and those who wait for it."""

    def __init__(self, *, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._coming: anyio.Event | None = None
        self._until_s: float | None = None
        self._is_done = False
        self._failure: str | None = None

    def expect(self) -> None:
        """Say that a first look is coming: from now on it is worth waiting for."""
        if not self._is_done and self._coming is None:
            self._coming = anyio.Event()

    def finish(self, failure: str | None = None) -> None:
        """Say that a look has ended, and why it failed, if it did. What was had before stays."""
        self._is_done |= failure is None
        self._failure = None if self._is_done else failure
        if self._coming is not None:
            self._coming.set()

    async def wait(self) -> str | None:
        """Wait for the first look, if one is coming; say why it brought nothing yet.

        Nobody waits where no look was announced: a command looks by itself, when it wants to.
        """
        coming = self._coming
        if coming is None or coming.is_set():
            return self._failure
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s = now_s + self._longest_s
        with anyio.move_on_after(max(0.0, self._until_s - now_s)):
            await coming.wait()
        return self._failure if coming.is_set() else _STILL_READ
