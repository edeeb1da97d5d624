"""A file is written whole or not at all, whoever reads, writes or fails meanwhile."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolcrib_registry.files import write_new, write_whole

FULL = """
import resource, sys
from pathlib import Path
from toolcrib_registry.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_whole(Path(sys.argv[1]), b"x" * 2000)
"""
"""To the one who writes, a limit on files is a full disk."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_another_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("before, and longer")
    write_whole(file, b"af", memoryview(b"ter"))
    assert file.read_bytes() == b"after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_whole(file, mode=0o640)
    assert file.read_bytes() == b""
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert names(tmp_path) == ["kept"]


@pytest.mark.skipif(os.name != "posix", reason="limits on files are POSIX's")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    write_whole(file, b"before")
    command = [sys.executable, "-c", FULL, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert "OSError: [Errno 27] File too large" in ran.stderr
    assert file.read_bytes() == b"before"
    assert names(tmp_path) == ["kept"]


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_a_folder_that_takes_no_files_is_an_error(tmp_path: Path, write) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "nowhere" / "kept", b"after")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write(tmp_path / "file" / "kept", b"after")
    assert names(tmp_path) == ["file"]


def test_a_place_that_is_taken_by_a_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "kept", b"after")
    assert names(tmp_path) == ["kept"]


def test_who_reads_while_others_write_sees_one_of_them_whole(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    texts = [bytes([letter]) * 100_000 for letter in b"abcd"]
    write_whole(file, texts[0])
    with ThreadPoolExecutor(len(texts)) as pool:
        writing = [pool.submit(write_whole, file, text) for text in texts * 5]
        while not all(done.done() for done in writing):
            assert file.read_bytes() in texts
    assert [done.exception() for done in writing] == [None] * len(writing)
    assert names(tmp_path) == ["kept"]


def test_of_several_who_make_a_file_one_succeeds(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    texts = [b"a", b"b", b"c", b"d"]
    with ThreadPoolExecutor(len(texts)) as pool:
        making = [pool.submit(write_new, file, text) for text in texts]
        failed = [done.exception() for done in making]
    assert sum(error is None for error in failed) == 1
    assert {type(error) for error in failed if error} == {FileExistsError}
    assert file.read_bytes() == texts[failed.index(None)]
    assert names(tmp_path) == ["kept"]
