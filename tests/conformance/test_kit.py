"""What is fetched is exactly what is pinned, once, and of an archive only what is wanted."""

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from . import kit


def archive(*names: str) -> tarfile.TarFile:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"hi"))
    packed.seek(0)
    return tarfile.open(fileobj=packed)


def test_only_the_fixtures_server_is_unpacked(tmp_path: Path) -> None:
    inside = f"sdk-1/{kit.SOURCE}{kit.MODULE}"
    names = (f"{inside}server.py", "sdk-1/setup.py", f"{inside}../../out.py", "/etc/passwd")
    with archive(*names) as tar:
        kit.unpack(tar, tmp_path / "to")
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [
        tmp_path / "to" / kit.MODULE / "server.py"
    ]


def test_it_is_fetched_again_only_when_a_pin_changes(tmp_path: Path) -> None:
    pin, fetched = tmp_path / "pin", list[str]()
    for version in ("1", "1", "2"):
        pin.write_text(version)
        kit.ensure(tmp_path / "stamp", [pin], lambda version=version: fetched.append(version))
    assert fetched == ["1", "2"]


def test_what_could_not_be_fetched_is_not_taken_for_fetched(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1")

    def fail() -> None:
        raise SystemExit("no network")

    with pytest.raises(SystemExit):
        kit.ensure(tmp_path / "stamp", [tmp_path / "pin"], fail)
    assert not (tmp_path / "stamp").exists()


def test_every_package_is_pinned_by_hash_and_by_no_address() -> None:
    lock = (kit.HERE / "package-lock.json").read_text()
    packages = {name: one for name, one in json.loads(lock)["packages"].items() if name}
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not any("resolved" in one for one in packages.values())
    assert re.search(r"--hash=sha256:[0-9a-f]{64}$", kit.REQUIREMENT.read_text().strip())
