"""A snapshot is whole, or it is refused; never half, never silently wrong."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.indexing.snapshots import (
    MANIFEST,
    Header,
    SnapshotInvalid,
    read_snapshot,
    write_snapshot,
)

HEADER = Header(encoder="e", representation="r", dimension=4, revision=7, entries=2)
PARTS = {"vectors": bytes(range(64)), "roster": b'{"ids": ["a", "b"]}', "empty": b""}


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name != ".lock")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rewritten")


@given(
    parts=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.binary(max_size=50)),
    revision=st.integers(0, 2**60),
)
@settings(deadline=None, max_examples=30)
def test_what_is_written_is_read(folder: Path, parts: dict[str, bytes], revision: int):
    header = Header(encoder="ü/1", representation="{}", dimension=3, revision=revision, entries=5)
    write_snapshot(folder, header, parts)
    assert read_snapshot(folder) == (header, parts)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshot")
    write_snapshot(folder, HEADER, PARTS)
    return folder


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_changed_byte_in_any_file_is_noticed(whole: Path, data: st.DataObject):
    file = data.draw(st.sampled_from([f for f in _files(whole) if f.stat().st_size]))
    before = file.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    changed = bytearray(before)
    changed[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(changed)
    try:
        with pytest.raises(SnapshotInvalid):
            read_snapshot(whole)
    finally:
        file.write_bytes(before)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_file_cut_short_or_grown_is_noticed(whole: Path, data: st.DataObject):
    file = data.draw(st.sampled_from(_files(whole)))
    before = file.read_bytes()
    keep = data.draw(st.integers(0, len(before)))
    file.write_bytes(before[:keep] if keep < len(before) else before + b"\0")
    try:
        with pytest.raises(SnapshotInvalid):
            read_snapshot(whole)
    finally:
        file.write_bytes(before)


def test_each_missing_file_is_named(tmp_path: Path):
    write_snapshot(tmp_path, HEADER, PARTS)
    for file in _files(tmp_path):
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(SnapshotInvalid, match=f"{file.name} is missing"):
            read_snapshot(tmp_path)
        file.write_bytes(content)
    assert read_snapshot(tmp_path) == (HEADER, PARTS)


def test_a_folder_that_is_not_there_holds_no_snapshot(tmp_path: Path):
    with pytest.raises(SnapshotInvalid, match="missing"):
        read_snapshot(tmp_path / "nowhere")


def test_another_format_is_named(tmp_path: Path):
    write_snapshot(tmp_path, HEADER, PARTS)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(SnapshotInvalid, match="its format is 99, expected 4"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize("manifest", ["", "[]", "null", "{}", '{"format": 1}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, manifest: str):
    write_snapshot(tmp_path, HEADER, PARTS)
    (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(SnapshotInvalid):
        read_snapshot(tmp_path)


def test_a_new_snapshot_leaves_nothing_of_the_old_one(tmp_path: Path):
    write_snapshot(tmp_path, HEADER, PARTS)
    (tmp_path / "vectors.tmp-left-by-a-crash").write_bytes(b"half")
    write_snapshot(tmp_path, HEADER, {"vectors": b"new"})
    assert read_snapshot(tmp_path) == (HEADER, {"vectors": b"new"})
    assert len(_files(tmp_path)) == 2


_WRITE_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from toolcrib_embeddings.indexing.snapshots import Header, write_snapshot
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
header = Header(encoder="e", representation="r", dimension=4, revision=8, entries=2)
try:
    write_snapshot(Path(sys.argv[1]), header, {"a": b"fits", "vectors": b"x" * 100_000})
except OSError as error:
    print("refused")
"""


def test_a_write_that_fails_halfway_leaves_the_old_snapshot(tmp_path: Path):
    write_snapshot(tmp_path, HEADER, PARTS)
    command = [sys.executable, "-c", _WRITE_ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert done.stdout.strip() == b"refused"
    assert read_snapshot(tmp_path) == (HEADER, PARTS)
    assert not list(tmp_path.glob("*.tmp-*"))


def test_readers_beside_a_writer_always_read_a_whole_snapshot(tmp_path: Path):
    write_snapshot(tmp_path, HEADER, {"a": b"0" * 1000, "b": b"0" * 1000})
    stop, mixed = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            _, parts = read_snapshot(tmp_path)
            if len({part[:1] for part in parts.values()}) != 1:
                mixed.append(parts)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(40):
        digit = str(n % 10).encode()
        write_snapshot(tmp_path, HEADER, {"a": digit * 1000, "b": digit * 1000})
    stop.set()
    reader.join(timeout=30)
    assert mixed == []
