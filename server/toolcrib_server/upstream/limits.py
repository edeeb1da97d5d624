"""How much a server may send, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """How much a server may send, and how long the parts of opening and closing may take."""

    max_message_bytes: int = 8 * 1024 * 1024
    connect_timeout_s: float = 15.0
    close_grace_s: float = 1.5
    """How long a child may take to leave by itself; less again after SIGTERM."""
    max_event_bytes: int = 256 * 1024
    """What one event may take on a stream of notifications, of which many are open for long."""
    quiet_s: float = 900.0
    """A stream of notifications without a byte for so long is taken for dead."""
    again_s: tuple[float, float] = (1.0, 300.0)
    """The shortest and the longest pause before such a stream is opened again."""
