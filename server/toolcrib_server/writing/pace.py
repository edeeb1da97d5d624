"""How often something may be done in an hour. Knows no clock but the one it is given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

HOUR_S: Final = 3600.0


class Pace:
    """Counts what was done in the last hour. For one event loop."""

    def __init__(self, per_hour: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_hour = per_hour
        self._clock = clock
        self._done: deque[float] = deque()

    @property
    def left(self) -> int:
        """How much may still be done now."""
        now = self._clock()
        while self._done and self._done[0] <= now - HOUR_S:
            self._done.popleft()
        return max(self.per_hour - len(self._done), 0)

    @property
    def waits_s(self) -> float:
        """How long until one more may be done; 0 where it may be done now."""
        if self.left:
            return 0.0
        return self._done[0] + HOUR_S - self._clock() if self._done else HOUR_S

    def take(self) -> bool:
        """Count one, if it may be done."""
        if not self.left:
            return False
        self._done.append(self._clock())
        return True
