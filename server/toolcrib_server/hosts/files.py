"""Read and replace a host's file, and find the backups beside it.

A backup's name says when it was made, before which change, and what that change left behind, so no
other record is kept. Knows bytes and names, nothing of what a file means.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.files import PRIVATE, write_whole

_BACKUP_NAME = re.compile(
    r"\.\d{8}T\d{12}Z\.before-(?P<change>[a-z]+)(?P<new>-new)?\.(?P<left>[0-9a-f]{12})\.bak"
)


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a file from before a change, or the note that there was no file then."""

    path: Path
    was_absent: bool
    left: str
    """A digest of what the change left behind."""

    def is_of(self, text: str | None) -> bool:
        """Whether ``text`` is what the change left behind."""
        return _digest(text) == self.left

    def read(self) -> str | None:
        """Read what was there before the change; None when there was no file."""
        return None if self.was_absent else read_text(self.path)


def make_backup(
    path: Path, *, before: str | None, after: str | None, change: str, at: datetime
) -> Path:
    """Copy ``before`` beside ``path``, where ``change`` is about to leave ``after``."""
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    kind = f"{change}-new" if before is None else change
    backup = path.with_name(f"{path.name}.{stamp}.before-{kind}.{_digest(after)}.bak")
    write_whole(backup, (before or "").encode(), mode=_mode(path))
    return backup


def find_backup(path: Path, *, changes: frozenset[str]) -> Backup | None:
    """Find the newest backup made before one of these changes."""
    siblings = sorted(path.parent.iterdir(), reverse=True) if path.parent.is_dir() else []
    for file in siblings:
        if not file.name.startswith(path.name):
            continue
        found = _BACKUP_NAME.fullmatch(file.name, len(path.name))
        if found and found["change"] in changes:
            return Backup(file, found["new"] is not None, found["left"])
    return None


def read_text(path: Path) -> str | None:
    """Read a file with its line ends as they are; None when there is none.

    Raises:
        InvalidConfig: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise InvalidConfig("it is not UTF-8 text.", file=str(path)) from error
    except OSError as error:
        raise InvalidConfig(f"it cannot be read: {error.strerror}.", file=str(path)) from error


def write_text(path: Path, text: str | None) -> None:
    """Replace a file's text, keeping its mode; None removes the file. May raise `OSError`."""
    if text is None:
        path.unlink()
    else:
        write_whole(path, text.encode(), mode=_mode(path))


def _mode(path: Path) -> int:
    # A settings file may hold keys, so a new one is for its owner alone.
    return path.stat().st_mode & 0o777 if path.exists() else PRIVATE


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode("utf-8")).hexdigest()[:12]
