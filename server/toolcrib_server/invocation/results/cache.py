"""Results of read-only tools, kept for as long as the policy says; at first not at all.

Apart for each key unless the policy says that they are the same for all. Says how old they are.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolcrib_registry.types import canonical_json
from toolcrib_server.invocation.errands.errand import Errand

from .marking import with_meta
from .weighing import weigh_json

AGE_KEY: Final = "io.toolcrib/ageMs"
"""In the ``_meta`` of a result: how long ago the server gave it."""
_CAPACITY_BYTES = 32 * 1024 * 1024
_MOST_KEY_CHARS = 10_000
_OVERHEAD_BYTES = 500

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Held:
    result: Mapping[str, Any]
    at: float
    until: float
    size: int


class ResultCache:
    """Keeps results. Belongs to the event loop; ``now`` is a monotonic clock, in seconds."""

    def __init__(
        self,
        *,
        capacity_bytes: int = _CAPACITY_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity_bytes
        self._now = now
        self._held: OrderedDict[Key, _Held] = OrderedDict()
        """Whatever was used longest ago comes first."""
        self.bytes = 0

    def key_of(self, errand: Errand) -> Key | None:
        """Name what would be kept; None: of such a call nothing is."""
        target = errand.target
        if not target.policy.cache_s or not target.is_read_only or not errand.is_plain:
            return None
        tool = target.tool
        assert tool is not None, "only tools are read-only"
        spelled = canonical_json(errand.given)
        if len(spelled) > _MOST_KEY_CHARS:
            return None
        whose = "" if target.policy.cache_shared else errand.asker.principal
        profile = errand.asker.interaction.profile.key
        return whose, profile, tool.name, tool.content_hash, spelled

    def find(self, key: Key) -> dict[str, Any] | None:
        """Find what is kept, and still young enough."""
        held = self._held.get(key)
        if held is None:
            return None
        now = self._now()
        if now >= held.until:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return with_meta(held.result, AGE_KEY, round((now - held.at) * 1000))

    def keep(self, key: Key, result: Mapping[str, Any], *, ttl_s: float) -> None:
        """Keep a result, unless it is an error or not the last word."""
        if result.get("isError") or result.get("resultType", "complete") != "complete":
            return
        size = weigh_json(result) + len(key[-1]) + _OVERHEAD_BYTES
        if size > self._capacity // 8:
            return
        if key in self._held:
            self._drop(key)
        now = self._now()
        self._held[key] = _Held(dict(result), now, now + ttl_s, size)
        self.bytes += size
        while self.bytes > self._capacity:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Key) -> None:
        self.bytes -= self._held.pop(key).size
