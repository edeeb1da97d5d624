"""How much an endpoint keeps of its clients, and for how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one face. All waits end; all that is kept is bounded."""

    keep_alive_s: float = 15.0
    """After so long without a word a comment is sent: proxies close what is silent for a minute."""
    send_timeout_s: float = 30.0
    """A client that takes nothing for so long is given up."""
    ask_timeout_s: float = 3600.0
    """People answer some questions late; nobody who never does may be waited for."""
    heard_within_s: float = 30.0
    """A question outside of every request waits so long for somebody who listens."""
    listen_pause_s: float = 1.0
    """Before a listening that has ended is taken up again; longer each time that it fails."""
    max_subscriptions: int = 1_000
    """``subscriptions/listen`` streams open at once."""
    max_sessions: int = 1_000
    session_idle_s: float = 1_800.0
    spare_after_s: float = 60.0
    """When there is no room, a session that has been idle for so long gives way."""
    max_in_flight: int = 256
    """Requests of one session at once."""
    max_readers: int = 8
    """Open GET streams of one session."""


LIMITS = Limits()
