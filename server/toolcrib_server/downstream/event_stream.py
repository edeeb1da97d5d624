"""An event stream of one session: what was sent is kept for a while, for who lost the connection.

Before 2026-07-28 a broken stream could be taken up again at the last event that arrived. Knows no
HTTP; see `response` for how an event is written.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import anyio

MAX_KEPT_BYTES = 256 * 1024
MAX_KEPT = 512


@dataclass(frozen=True, slots=True)
class Kept:
    """One event."""

    number: int
    data: bytes


class EventStream:
    """The events of one stream, numbered; the oldest are forgotten when they are too many.

    Writers never wait. A reader follows at its own pace, and misses what was forgotten meanwhile;
    the newest ``at_least`` are there for it in any case.
    """

    def __init__(self, name: str, *, max_bytes: int = MAX_KEPT_BYTES, at_least: int = 1) -> None:
        self.name = name
        self._max_bytes = max_bytes
        self._at_least = at_least
        self.last = 0
        """The number of the last event that was put in."""
        self.read = 0
        """The number of the last event that a reader was given."""
        self.has_ended = False
        self._kept: deque[Kept] = deque()
        self._size = 0
        self._changed = anyio.Event()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return self._size

    def id_of(self, number: int) -> str:
        """Return the id of an event, by which the stream can be taken up again."""
        return f"{self.name}-{number}"

    def put(self, data: bytes) -> int:
        """Add an event; return its number."""
        self.last += 1
        self._kept.append(Kept(self.last, data))
        self._size += len(data)
        while len(self._kept) > self._at_least and self._is_full():
            self._size -= len(self._kept.popleft().data)
        self.stir()
        return self.last

    def _is_full(self) -> bool:
        return self._size > self._max_bytes or len(self._kept) > MAX_KEPT

    def end(self) -> None:
        """There will be no more events."""
        self.has_ended = True
        self.stir()

    def after(self, number: int) -> list[Kept]:
        """Return the events after a number, as far as they are kept."""
        return [each for each in self._kept if each.number > number]

    def stir(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


def read_event_id(event_id: str) -> tuple[str, int] | None:
    """Tell the stream and the number of an event; None if it is none of ours."""
    name, _, number = event_id.rpartition("-")
    if not name or not number.isascii() or not number.isdecimal() or len(number) > 18:  # noqa: PLR2004  # more than any stream has
        return None
    return name, int(number)
