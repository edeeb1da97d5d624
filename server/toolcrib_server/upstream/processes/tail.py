"""The last lines of a stream: what a server said on its standard error."""

from __future__ import annotations

from collections import deque

_TAIL_LINES = 200
_TAIL_BYTES = 64 * 1024


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
