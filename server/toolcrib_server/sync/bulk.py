"""Thousands of entries at once, without the collector of cycles looking at each of them again.

Entries hold no cycles, and are many: while they are made, Python's collector goes through all that
there is a dozen times and finds nothing. Knows nothing of what is done meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Generator[None]:
    """Let cycles lie for some seconds; what has none is freed as ever.

    For the whole process. Where two of these overlap, the first to end ends both.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
