"""Whether somebody serves is known by a lock that no death leaves behind."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from toolcrib_server.presence import be_present, is_anybody_present

HOLD = """
import sys, anyio
from pathlib import Path
from toolcrib_server.presence import be_present
async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(be_present, Path(sys.argv[1]))
        await anyio.sleep(0.2)
        print("here", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@pytest.mark.anyio
async def test_nobody_is_there_until_somebody_is(tmp_path: Path):
    assert not is_anybody_present(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(be_present, tmp_path)
        with anyio.fail_after(10):
            while not is_anybody_present(tmp_path):  # noqa: ASYNC110  # a lock has no events
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert not is_anybody_present(tmp_path)


def test_one_that_was_killed_is_not_there_any_more(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert is_anybody_present(tmp_path)
        process.kill()
    assert not is_anybody_present(tmp_path)
