"""The keys that clients' states are sealed with: configured, or made once and kept in a file."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.files import write_new

FILE_NAME = "state.key"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SETTING = "or set TOOLCRIB_STATE_KEYS"


def load_state_keys(folder: Path, configured: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the configured keys; without any, those kept in ``folder``, made if there are none.

    Blocks for a moment: the file is synced to the disk. Processes that make it at once agree.

    Raises:
        InvalidConfig: The file or the folder is not its owner's alone, or cannot be used.
    """
    if configured:
        return tuple(configured)
    path = folder / FILE_NAME
    try:
        _check_folder(folder)
        with suppress(FileNotFoundError):
            return _read(path)
        _make(path)
        return _read(path)
    except OSError as error:
        problem = f"cannot be used: {error.strerror or error}."
        raise InvalidConfig(problem, file=str(path), fix=f"Mend that, {_SETTING}.") from error


def _check_folder(folder: Path) -> None:
    if os.name == "posix" and folder.stat().st_mode & _OTHERS_WRITE:
        raise InvalidConfig(
            "can be written by others, who could replace the key of clients' states.",
            file=str(folder),
            fix=f"Run: chmod go-w {folder}; {_SETTING}.",
        )


def _read(path: Path) -> tuple[str, ...]:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, encoding="utf-8") as file:
        if os.name == "posix" and os.fstat(handle).st_mode & _OTHERS:
            raise InvalidConfig(
                "can be used by others: they could read and forge clients' states.",
                file=str(path),
                fix="Delete it; a new one is made, and open questions are asked again.",
            )
        keys = tuple(line.strip() for line in file if line.strip())
    if not keys:
        raise InvalidConfig("holds no key.", file=str(path), fix="Delete it; a new one is made.")
    return keys


def _make(path: Path) -> None:
    with suppress(FileExistsError):  # another was first, and all take that one
        write_new(path, f"{secrets.token_urlsafe(32)}\n".encode())
