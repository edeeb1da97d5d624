"""Whether somebody serves is known by a lock that no death leaves behind."""

import sys
from pathlib import Path

import anyio
import pytest

from toolcrib_server.presence import be_present, is_anybody_present

HOLD = """
import sys, anyio
from pathlib import Path
from toolcrib_server.presence import be_present
anyio.run(be_present, Path(sys.argv[1]))
"""


async def until_somebody_is_present(folder: Path) -> None:
    with anyio.fail_after(60):
        while not is_anybody_present(folder):  # noqa: ASYNC110  # a lock has no events
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_nobody_is_there_until_somebody_is(tmp_path: Path):
    assert not is_anybody_present(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(be_present, tmp_path)
        await until_somebody_is_present(tmp_path)
        tasks.cancel_scope.cancel()
    assert not is_anybody_present(tmp_path)


@pytest.mark.anyio
async def test_one_that_was_killed_is_not_there_any_more(tmp_path: Path):
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    async with await anyio.open_process(argv, stdout=None, stderr=None) as process:
        await until_somebody_is_present(tmp_path)
        process.kill()
    assert not is_anybody_present(tmp_path)
