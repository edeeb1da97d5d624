"""What the call path does of itself, and how it stands: sums for monitors, by server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolcrib_registry.types import ServerName

from .breakers import BreakerState
from .lanes import Crowd


@dataclass(slots=True)
class PathMeter:
    """Counts what the call path does of itself, by server. The event loop owns it."""

    retries: Counter[ServerName] = field(default_factory=Counter[ServerName])
    hedges: Counter[ServerName] = field(default_factory=Counter[ServerName])
    cache_hits: Counter[ServerName] = field(default_factory=Counter[ServerName])
    cache_misses: Counter[ServerName] = field(default_factory=Counter[ServerName])
    cuts: Counter[ServerName] = field(default_factory=Counter[ServerName])
    misfits: Counter[ServerName] = field(default_factory=Counter[ServerName])

    def forget(self, server: ServerName) -> None:
        """Drop the sums of a server that is no more."""
        for sums in (self.retries, self.hedges, self.cache_hits, self.cache_misses):
            sums.pop(server, None)
        for sums in (self.cuts, self.misfits):
            sums.pop(server, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReading:
    """How the call path stands at one moment."""

    crowds: Mapping[ServerName, Crowd] = field(default_factory=dict[ServerName, Crowd])
    breakers: Mapping[str, BreakerState] = field(default_factory=dict[str, BreakerState])
    """Those that are not closed, by server."""
    sums: PathMeter = field(default_factory=PathMeter)
    kept_results: int = 0
    kept_bytes: int = 0
    cached_bytes: int = 0
