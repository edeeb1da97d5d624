"""Every example runs, as a script of its own, against a served Toolcrib."""

import os
import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest

from .conftest import OpenHouse

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]


def run(example: Path, url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TOOLCRIB_URL": url}
    command = [sys.executable, str(example)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


async def test_every_example_runs(open_house: OpenHouse, clock_url: str) -> None:
    assert len(EXAMPLES) >= 4
    async with open_house() as house:
        server = {"name": "clock", "transport": {"type": "http", "url": clock_url}}
        assert (await house.http.post("/api/v1/servers", json=server)).status_code == 201
        assert (await house.http.post("/api/v1/sync")).status_code == 200
        for example in sorted(EXAMPLES, key=lambda path: path.stem != "register_model"):
            ran = await anyio.to_thread.run_sync(run, example, house.url)
            assert ran.returncode == 0, f"{example.name}: {ran.stderr}"
            assert ran.stdout.strip(), example.name
