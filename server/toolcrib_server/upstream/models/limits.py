"""How long a model may take and how much it may send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """Bounds of every call; a caller may set a shorter deadline, never a longer one."""

    timeout_s: float = 600.0
    """The whole of a call, fallbacks and the start of a local server included."""
    idle_timeout_s: float = 120.0
    """Between two events of a stream, and before the first."""
    max_answer_bytes: int = 64 * 1024 * 1024
    max_event_bytes: int = 8 * 1024 * 1024
    max_stream_bytes: int = 64 * 1024 * 1024
