"""Files that are written whole or not at all: no reader, and no crash, ever sees half of one.

What is written goes to a file beside it first, and from there in one step to its place. Where the
disk is full, or the folder is missing or read-only, the error says so: what was there before stays,
and nothing is left behind. Knows bytes and paths, and no content.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""For its owner alone."""


def write_whole(path: Path, *pieces: bytes | memoryview, mode: int = PRIVATE) -> None:
    """Write a file in the place of what is there. Blocks until it is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    with _draft(path, pieces, mode) as draft:
        draft.replace(path)
    _sync_folder(path.parent)


def write_new(path: Path, *pieces: bytes | memoryview, mode: int = PRIVATE) -> None:
    """Write a file that is not there yet. Of several who try at once, one succeeds.

    Raises:
        FileExistsError: It is there; it stays as it is.
        OSError: It cannot be written.
    """
    with _draft(path, pieces, mode) as draft:
        os.link(draft, path)
    _sync_folder(path.parent)


@contextmanager
def _draft(path: Path, pieces: tuple[bytes | memoryview, ...], mode: int) -> Generator[Path]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(mode)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put the name on the disk too, where the system can; the file itself is there by now."""
    if os.name == "nt":
        return  # folders cannot be opened there
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
