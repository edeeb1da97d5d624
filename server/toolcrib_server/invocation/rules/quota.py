"""How often each key may call, and how many calls of it may run at once.

Knows keys by name; nothing of tools and servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from toolcrib_registry.errors import TooManyCalls

_MOST_KEPT = 10_000
_WHILE_FULL_S = 1.0
_MINUTE_S = 60.0


class Quota(Protocol):
    """Decides whether a key may call now."""

    def enter(self, principal: str) -> None:
        """Count a call that begins.

        Raises:
            TooManyCalls: It may not begin now.
        """
        ...

    def leave(self, principal: str) -> None:
        """Count a call that ended; each that has entered does so once."""
        ...


class Unlimited:
    """Lets everybody call."""

    def enter(self, principal: str) -> None:
        """Let a call begin."""

    def leave(self, principal: str) -> None:
        """Let it end."""


@dataclass(slots=True)
class _Key:
    tokens: float
    counted_at: float
    running: int = 0


class KeyQuota:
    """The same for every key, in memory; a key that was quiet may call a minute's worth at once.

    0 is no limit. ``now`` is a monotonic clock, in seconds.
    """

    def __init__(
        self, *, per_minute: int = 0, at_once: int = 0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_minute = per_minute
        self._at_once = at_once
        self._now = now
        self._keys: dict[str, _Key] = {}

    def enter(self, principal: str) -> None:
        """Count a call that begins.

        Raises:
            TooManyCalls: It may not begin now.
        """
        key = self._find(principal)
        if self._at_once and key.running >= self._at_once:
            limit = f"{self._at_once} calls at once, and they are running"
            raise TooManyCalls(principal, limit, retry_after_s=_WHILE_FULL_S)
        self._take_token(principal, key)
        key.running += 1

    def leave(self, principal: str) -> None:
        """Count a call that ended."""
        self._keys[principal].running -= 1

    def _take_token(self, principal: str, key: _Key) -> None:
        if not self._per_minute:
            return
        now, a_second = self._now(), self._per_minute / _MINUTE_S
        grown = key.tokens + (now - key.counted_at) * a_second
        key.tokens, key.counted_at = min(grown, self._per_minute), now
        if key.tokens < 1:
            limit = f"{self._per_minute} calls a minute, and has made them"
            raise TooManyCalls(principal, limit, retry_after_s=(1 - key.tokens) / a_second)
        key.tokens -= 1

    def _find(self, principal: str) -> _Key:
        key = self._keys.get(principal)
        if key is None:
            if len(self._keys) >= _MOST_KEPT:
                self._drop_quiet()
            key = self._keys[principal] = _Key(self._per_minute, self._now())
        return key

    def _drop_quiet(self) -> None:
        quiet_since = self._now() - _MINUTE_S
        for name, key in list(self._keys.items()):
            if not key.running and key.counted_at <= quiet_since:
                del self._keys[name]
