"""Examines the data folder and the file of secrets."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.files import PRIVATE
from toolcrib_server.settings import Settings
from toolcrib_server.upstream.config.secrets import SecretStore

from .check import Check

_OTHERS_WRITE: Final = 0o022
_OTHERS: Final = 0o077


def examine_files(settings: Settings) -> list[Check]:
    """Look at the data folder and the file of secrets: both are their owner's alone."""
    folder = settings.data_dir
    checks = [_examine_folder(folder)]
    secrets = folder / "secrets.json"
    if secrets.exists():
        checks.append(_examine_secrets(secrets))
    return checks


def _examine_folder(folder: Path) -> Check:
    name, mode = "data folder", stat.S_IMODE(folder.stat().st_mode)
    if not os.access(folder, os.W_OK):
        advice = "It cannot be written: set TOOLCRIB_DATA_DIR."
        return Check(name, str(folder), ok=False, advice=advice)
    if mode & _OTHERS_WRITE:
        private = mode & ~_OTHERS_WRITE
        advice = f"Others can write it: chmod {private:o} {folder}, or doctor --repair."
        mend = partial(_set_mode, folder, private)
        return Check(name, f"{folder} ({mode:o})", ok=False, advice=advice, mend=mend)
    return Check(name, str(folder))


def _examine_secrets(path: Path) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    detail = f"{path} ({mode:o})"
    # Before it is read: whoever reads secrets closes the file first.
    if mode & _OTHERS:
        advice = f"Others can read it: chmod 600 {path}, or doctor --repair."
        mend = partial(_set_mode, path, PRIVATE)
        return Check("secrets file", detail, ok=False, advice=advice, mend=mend)
    try:
        SecretStore(path).list_keys()
    except ToolcribError as error:
        again = "Mend or remove it, then register the servers that need secrets again."
        return Check("secrets file", error.detail, ok=False, advice=again)
    return Check("secrets file", detail)


async def _set_mode(path: Path, mode: int) -> str:
    await anyio.to_thread.run_sync(path.chmod, mode)
    return f"{path} is {mode:o} now"
