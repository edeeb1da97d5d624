"""However it is ended, nothing of it stays: no child process, and no call unrecorded."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from toolcrib_migrations import open_store

TOOLCRIB = str(Path(sys.executable).with_name("toolcrib"))
ROOT = Path(__file__).parents[2]
RAW = ROOT / "tests/server/upstream/servers/raw.py"
_PAUSE_S = 0.02
"""Between two looks: whoever looks without a pause keeps what is looked for from starting."""


def env_of(data: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TOOLCRIB_DATA_DIR": str(data),
        "TOOLCRIB_CACHE_DIR": str(ROOT / ".cache"),
        "TOOLCRIB_PORT": "0",
    }


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Register a server that stays when its standard input ends, once for all tests."""
    data = tmp_path_factory.mktemp("registry")
    command = [TOOLCRIB, "add", "raw", "--", sys.executable, str(RAW), "good"]
    subprocess.run(command, env=env_of(data), check=True, capture_output=True)
    return data


@pytest.fixture
def env(registry: Path, tmp_path: Path) -> dict[str, str]:
    """Copy the registry, and say where it is."""
    shutil.copytree(registry, tmp_path, dirs_exist_ok=True)
    return env_of(tmp_path)


@pytest.fixture
def serving(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve, and give the process with its base URL."""
    with subprocess.Popen([TOOLCRIB, "serve"], env=env, stderr=-1, text=True) as process:
        assert process.stderr
        address = re.search(r"http://\S+?:\d+", process.stderr.readline())
        assert address
        yield process, address.group()
        process.kill()


def until_serving(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(_PAUSE_S)
    raise AssertionError("it did not come up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_leaves_nothing_behind(
    serving: tuple[subprocess.Popen[str], str], tmp_path: Path, number: signal.Signals
) -> None:
    process, url = serving
    until_serving(url)
    called = httpx.post(f"{url}/api/v1/call", json={"name": "raw__echo"}, timeout=30)
    assert called.status_code == 200, called.text
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    store = open_store(f"sqlite:///{tmp_path / 'toolcrib.db'}")
    assert [record.subject for record in store.list_calls()] == ["tool:raw__echo"]
    store.close()


def test_stdio_leaves_nothing_behind(env: dict[str, str]) -> None:
    with subprocess.Popen([TOOLCRIB, "stdio"], env=env, stdin=-1, stdout=-1) as process:
        deadline = time.monotonic() + 60
        children: list[psutil.Process] = []
        while not children and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive


def test_a_port_that_is_taken_is_said_in_a_sentence(
    serving: tuple[subprocess.Popen[str], str], env: dict[str, str]
) -> None:
    _, url = serving
    port = url.rpartition(":")[2]
    second = subprocess.run(
        [TOOLCRIB, "serve", "--port", port], env=env, capture_output=True, text=True, check=False
    )
    assert second.returncode == 2
    assert f"{port} cannot be bound" in second.stderr
    assert "Traceback" not in second.stderr
