"""The time that a request has; it rests while somebody is asked something on the way."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Clock:
    """Moves the deadline of a cancel scope on by as long as it rests."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self._scope = scope
        self._resting = 0
        self._left_s = 0.0

    @contextmanager
    def resting(self) -> Generator[None]:
        """Stop the time; any number may at once."""
        if not self._resting:
            self._left_s = self._scope.deadline - anyio.current_time()
            self._scope.deadline = math.inf
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            if not self._resting:
                self._scope.deadline = anyio.current_time() + self._left_s
