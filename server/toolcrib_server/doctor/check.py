"""What an examination found, and what mending it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Mend = Callable[[], Awaitable[str]]
"""Mends one thing, and says what it did."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined: what was seen, and, if it is not well, what to do about it."""

    name: str
    detail: str
    ok: bool = True
    advice: str = ""
    mend: Mend | None = field(default=None, repr=False, compare=False)
    """What `doctor --repair` does about it; None when there is nothing it could do."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about one thing."""

    name: str
    did: str
    ok: bool = True
