"""Snapshots on disk: named parts, written whole or not at all, and any flipped bit is noticed.

Knows bytes and their hashes, not what they mean. FAISS reads a damaged file without a word
(measured), so that nothing is trusted here that does not bear its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

SNAPSHOT_FORMAT: Final = 3
MANIFEST: Final = "manifest.json"
_LOCK: Final = ".lock"
_LOCK_TIMEOUT_S: Final = 30.0
_READ_ATTEMPTS: Final = 3

Part: TypeAlias = bytes | memoryview


class SnapshotInvalid(Exception):
    """There is no usable snapshot; ``reason`` says why. Rebuild the index from the store."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a snapshot is a snapshot of."""

    encoder: str
    representation: str
    dimension: int
    revision: int
    entries: int


def write_snapshot(folder: Path, header: Header, parts: Mapping[str, Part]) -> None:
    """Replace the snapshot in ``folder``. A crash at any point leaves the old one or the new one.

    Each part goes to a file named after its content; renaming the manifest is what replaces. Two
    processes that write take turns.

    Raises:
        OSError: it cannot be written; the old snapshot is intact.
    """
    from filelock import FileLock  # noqa: PLC0415  # only a process that saves needs it

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / _LOCK, timeout=_LOCK_TIMEOUT_S):
        hashes = {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
        for name, part in parts.items():
            _write(folder, _file_name(name, hashes[name]), part)
        _write(folder, MANIFEST, _render_manifest(header, hashes))
        _remove_all_but(folder, {_file_name(name, digest) for name, digest in hashes.items()})


def read_snapshot(folder: Path) -> tuple[Header, dict[str, bytes]]:
    """Read a snapshot, every byte of it checked.

    Raises:
        SnapshotInvalid: it is missing, cut short, damaged, or of another format.
    """
    for attempt in range(1, _READ_ATTEMPTS + 1):
        manifest = _read(folder / MANIFEST)
        header, hashes = _parse_manifest(manifest)
        try:
            return header, {name: _read_part(folder, name, h) for name, h in hashes.items()}
        except SnapshotInvalid:
            replaced_meanwhile = _read(folder / MANIFEST) != manifest
            if not replaced_meanwhile or attempt == _READ_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _render_manifest(header: Header, hashes: Mapping[str, str]) -> bytes:
    body = {"format": SNAPSHOT_FORMAT, "header": asdict(header), "parts": dict(hashes)}
    digest = hashlib.sha256(_canonical(body)).hexdigest()
    return _canonical({**body, "sha256": digest}) + b"\n"


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _parse_manifest(manifest: bytes) -> tuple[Header, dict[str, str]]:
    try:
        raw: dict[str, Any] = json.loads(manifest)
        if raw["format"] != SNAPSHOT_FORMAT:
            raise SnapshotInvalid(f"its format is {raw['format']}, expected {SNAPSHOT_FORMAT}")
        header, hashes = Header(**raw["header"]), dict(raw["parts"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SnapshotInvalid("its manifest cannot be read") from error
    if _render_manifest(header, hashes) != manifest:
        raise SnapshotInvalid("its manifest is damaged: the checksum does not match")
    return header, hashes


def _file_name(name: str, digest: str) -> str:
    return f"{name}.{digest[:16]}"


def _read_part(folder: Path, name: str, digest: str) -> bytes:
    part = _read(folder / _file_name(name, digest))
    if hashlib.sha256(part).hexdigest() != digest:
        raise SnapshotInvalid(f"{name} is damaged: the checksum does not match")
    return part


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise SnapshotInvalid(f"{file.name} is missing") from error
    except OSError as error:
        raise SnapshotInvalid(f"{file.name} cannot be read: {error}") from error


def _write(folder: Path, name: str, part: Part) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f"{name}.tmp-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # folders cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_all_but(folder: Path, keep: Iterable[str]) -> None:
    kept = {MANIFEST, _LOCK, *keep}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink(missing_ok=True)
