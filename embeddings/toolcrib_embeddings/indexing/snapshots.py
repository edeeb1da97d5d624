"""Snapshots on disk: named parts, written whole or not at all, and any flipped bit is noticed.

Knows bytes and their hashes, not what they mean. Large parts that an index can do without are
mapped into memory instead of read, and left out where they are damaged. FAISS reads a damaged file
without a word (measured), so that nothing is trusted here that does not bear its SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from toolcrib_registry.files import write_whole

SNAPSHOT_FORMAT: Final = 4
MANIFEST: Final = "manifest.json"
_LOCK: Final = ".lock"
_LOCK_TIMEOUT_S: Final = 30.0
_READ_ATTEMPTS: Final = 3

Part: TypeAlias = bytes | memoryview | tuple[memoryview, ...]
"""Bytes, or pieces of bytes that are written one after the other."""

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Mapped:
    """A part that the system reads from its file when it is looked at, and may drop again."""

    content: memoryview
    digest: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in a folder, every byte of it checked."""

    header: Header
    parts: Mapping[str, bytes]
    mapped: Mapping[str, Mapped]


def write_snapshot(
    folder: Path,
    header: Header,
    parts: Mapping[str, Part],
    *,
    known: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Replace the snapshot in ``folder``. A crash at any point leaves the old one or the new one.

    Each part goes to a file named after its content; renaming the manifest is what replaces. Two
    processes that write take turns. ``known`` has SHA-256s of parts that were read from a snapshot:
    where their file is still there, they are not written again. Returns those of all parts.

    Raises:
        OSError: it cannot be written; the old snapshot is intact.
    """
    from filelock import FileLock  # noqa: PLC0415  # only a process that saves needs it

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / _LOCK, timeout=_LOCK_TIMEOUT_S):
        known = known or {}
        hashes = {name: known.get(name) or _digest(part) for name, part in parts.items()}
        for name, part in parts.items():
            file = _file_name(name, hashes[name])
            if not (name in known and (folder / file).is_file()):
                write_whole(folder / file, *_pieces(part))
        write_whole(folder / MANIFEST, _render_manifest(header, hashes))
        _remove_all_but(folder, {_file_name(name, digest) for name, digest in hashes.items()})
    return hashes


def read_snapshot(folder: Path) -> tuple[Header, Mapping[str, bytes]]:
    """Read a snapshot, every byte of it checked.

    Raises:
        SnapshotInvalid: it is missing, cut short, damaged, or of another format.
    """
    snapshot = open_snapshot(folder)
    return snapshot.header, snapshot.parts


def open_snapshot(folder: Path, *, mapped: Collection[str] = ()) -> Snapshot:
    """Read a snapshot, and map those parts of it that are named; every byte is checked.

    A part to map that is damaged or missing is left out, and the log says why.

    Raises:
        SnapshotInvalid: it is missing, cut short, damaged, or of another format.
    """
    for attempt in range(1, _READ_ATTEMPTS + 1):
        manifest = _read(folder / MANIFEST)
        header, hashes = _parse_manifest(manifest)
        last = attempt == _READ_ATTEMPTS
        try:
            parts = {n: _read_part(folder, n, h) for n, h in hashes.items() if n not in mapped}
            found = _map_parts(folder, {n: hashes[n] for n in mapped if n in hashes})
        except SnapshotInvalid:
            if last or _read(folder / MANIFEST) == manifest:
                raise
        else:
            whole = len(found) == sum(name in hashes for name in mapped)
            if whole or last or _read(folder / MANIFEST) == manifest:
                return Snapshot(header, parts, found)
    raise AssertionError("the last attempt returns or raises")


def map_part(folder: Path, name: str, digest: str) -> Mapped:
    """Map a part, every byte of it checked.

    Raises:
        SnapshotInvalid: it is missing or damaged.
    """
    try:
        with (folder / _file_name(name, digest)).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != digest:
                raise SnapshotInvalid(f"{name} is damaged: the checksum does not match")
            if not stream.tell():
                return Mapped(memoryview(b""), digest)  # nothing cannot be mapped
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SnapshotInvalid(f"{name} cannot be read: {error}") from error
    return Mapped(memoryview(content), digest)


def _map_parts(folder: Path, hashes: Mapping[str, str]) -> dict[str, Mapped]:
    found: dict[str, Mapped] = {}
    for name, digest in hashes.items():
        try:
            found[name] = map_part(folder, name, digest)
        except SnapshotInvalid as invalid:
            _log.warning("A part of the search index is left out: %s", invalid.reason)
    return found


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


def _digest(part: Part) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(part):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(part: Part) -> Iterable[bytes | memoryview]:
    return part if isinstance(part, tuple) else (part,)


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


def _remove_all_but(folder: Path, keep: Iterable[str]) -> None:
    kept = {MANIFEST, _LOCK, *keep}
    for file in folder.iterdir():
        if file.name not in kept:
            # Windows keeps a file that some process has mapped; the next writing tries again.
            with contextlib.suppress(PermissionError):
                file.unlink(missing_ok=True)
