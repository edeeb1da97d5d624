"""Named points of a sync at which a process can be made to die, to prove that it converges.

Without ``TOOLCRIB_CRASH_AT`` in the environment a checkpoint does nothing. With it, the first time
the named point is reached the process kills itself, as a power cut would: no handler runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from toolcrib_registry.errors import InvalidInput

CRASH_AT = "TOOLCRIB_CRASH_AT"
POINTS = (
    "lease-taken",
    "listed",
    "compared",
    "reviewed",
    "embedded",
    "before-commit",
    "after-commit",
    "indexed",
    "snapshot-saved",
    "released",
)
"""In the order in which a sync passes them."""

Checkpoint = Callable[[str], None]
"""Called with the name of each point as it is reached, from any thread."""


def checkpoint_from_environment() -> Checkpoint:
    """Read the environment once; later changes of it do nothing.

    Raises:
        InvalidInput: It names no point there is.
    """
    wanted = os.environ.get(CRASH_AT)
    if not wanted:
        return _pass
    if wanted not in POINTS:
        raise InvalidInput(f"{CRASH_AT}={wanted!r} names no point; there are {', '.join(POINTS)}.")
    return lambda name: _die() if name == wanted else None


def _pass(name: str) -> None:
    """Go on: nobody asked for a crash."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
