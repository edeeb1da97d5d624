"""Keeps a process with many threads from holding memory that it no longer uses.

glibc gives threads heaps ("arenas") of their own and returns little of them: after the first sync
of 5,000 servers two fifths of the process were such leftovers. Knows nothing of what is stored.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_ARENA_MAX = -8
"""From malloc.h."""
_ARENAS = 2
"""The interpreter runs one thread at a time; more heaps would serve libraries alone."""


def limit_arenas() -> bool:
    """Have all threads share two heaps; return whether this system could be told so.

    Early, before there are many threads. Who sets ``MALLOC_ARENA_MAX`` is not overruled.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS))
    except (OSError, AttributeError):  # another C library, which does not do this
        return False
