"""Lines of a file a person wrote, within limits. What is wrong names the file and the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from toolcrib_registry.errors import InvalidInput

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
MAX_LINES: Final = 5_000_000


def iter_lines(file: Path) -> Iterator[bytes]:
    """Read the lines of a file one by one; none is held longer than it is looked at.

    Raises:
        InvalidInput: It cannot be read, or a line or the number of lines is beyond the limit.
    """
    try:
        with file.open("rb") as opened:
            number = 0
            while line := opened.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise wrong(file, number, f"longer than {MAX_LINE_BYTES:,} bytes")
                if number > MAX_LINES:
                    raise wrong(file, number, f"more than {MAX_LINES:,} lines are not read")
                yield line
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error


def wrong(file: Path, number: int, reason: str) -> InvalidInput:
    """Say what is wrong with a line, counted from 1."""
    return InvalidInput(f"{file}, line {number}: {reason}.")
