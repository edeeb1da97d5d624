"""Growing pauses between attempts, spread by chance so that many servers are not asked at once."""

from __future__ import annotations

import random

_JITTER = 0.25


class Backoff:
    """Pauses that double from ``shortest_s`` to ``longest_s``, each spread by a quarter."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._turns = 0

    def next_s(self) -> float:
        """Take the next pause, in seconds."""
        self._turns += 1
        return self.pause_s(self._turns)

    def pause_s(self, turn: int) -> float:
        """How long to wait after so many failures in a row; the first is 1."""
        doubled = self._shortest_s * 2 ** min(max(turn, 1) - 1, 20)
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # not a secret
        return min(self._longest_s, doubled) * spread

    def reset(self) -> None:
        """Begin with the shortest pause again: things went well for a while."""
        self._turns = 0
