"""Lets few processes work at a time: the suite starts one for each scenario, all at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

AT_ONCE = 2


@contextmanager
def turn(folder: Path) -> Generator[None]:
    """Wait for a turn, and have it while the block runs; it ends with the process at the latest."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"turn-{os.getpid() % AT_ONCE}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
