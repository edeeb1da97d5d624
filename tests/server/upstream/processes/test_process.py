"""Children with families: whatever ends, in whatever way, nobody of them is left soon after."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest

from toolcrib_registry.types import StdioTransport
from toolcrib_server.upstream.failures import LinkLost
from toolcrib_server.upstream.processes import family
from toolcrib_server.upstream.processes.keeper import open_keeper
from toolcrib_server.upstream.processes.process import open_child

pytestmark = pytest.mark.anyio

CLAN = Path(__file__).parents[1] / "servers" / "clan.py"
SOON_S = 30.0
OWNER = """
import sys, anyio
from toolcrib_registry.types import StdioTransport
from toolcrib_server.upstream.processes.process import open_child

async def main():
    transport = StdioTransport(sys.executable, tuple(sys.argv[1:]))
    async with open_child(transport, grace_s=1.0) as child:
        print(child.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def clan(roll, manners="stubborn"):
    return StdioTransport(sys.executable, (str(CLAN), str(roll), manners))


def alive(pid):
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def living(roll):
    return [pid for pid in map(int, roll.read_text().split()) if alive(pid)]


async def until(condition, *, timeout_s=30.0):
    with anyio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.02)


def warden_of(pid):
    warden = psutil.Process(pid).parent()
    assert warden is not None
    return warden


async def wait_complete(roll):
    await until(lambda: roll.exists() and len(roll.read_text().split()) == 4)


@contextlib.asynccontextmanager
async def owned(roll, manners="stubborn"):
    """Run the clan as the child of a process of its own; yields that and the child's number."""
    argv = [sys.executable, "-c", OWNER, str(CLAN), str(roll), manners]
    owner = await anyio.open_process(argv, stderr=None)
    async with owner:
        assert owner.stdout is not None
        pid = int(await owner.stdout.receive())
        await wait_complete(roll)
        yield owner, pid
        with contextlib.suppress(ProcessLookupError):
            owner.kill()


@pytest.mark.parametrize("manners", ["polite", "stubborn"])
async def test_leaving_ends_the_whole_family_however_detached(tmp_path, manners):
    roll = tmp_path / "roll"
    grace_s = 2.0 if manners == "polite" else 0.2  # to leave by itself takes a moment
    async with open_child(clan(roll, manners), grace_s=grace_s) as child:
        await wait_complete(roll)
        assert child.pid in living(roll)
        assert len(living(roll)) == 4
    assert living(roll) == []
    assert child.exit_code == (0 if manners == "polite" else -signal.SIGKILL)


@pytest.mark.parametrize("manners", ["polite", "stubborn"])
async def test_nobody_outlives_an_owner_that_was_killed(tmp_path, manners):
    roll = tmp_path / "roll"
    async with owned(roll, manners) as (owner, _):
        owner.kill()
        await until(lambda: not living(roll), timeout_s=SOON_S)


async def test_nobody_outlives_an_owner_that_was_killed_while_the_child_started(tmp_path):
    roll = tmp_path / "roll"
    argv = [sys.executable, "-c", OWNER, str(CLAN), str(roll), "stubborn"]
    async with await anyio.open_process(argv, stderr=None) as owner:
        await until(lambda: psutil.Process(owner.pid).children(recursive=True))
        started = psutil.Process(owner.pid).children(recursive=True)
        owner.kill()
    await until(lambda: not any(map(family.is_alive, started)), timeout_s=SOON_S)
    assert not roll.exists() or not living(roll)


async def test_a_child_that_was_killed_takes_its_family_along_when_it_is_let_go(tmp_path):
    roll = tmp_path / "roll"
    async with open_child(clan(roll), grace_s=0.1) as child:
        await wait_complete(roll)
        os.kill(child.pid, signal.SIGKILL)
        with anyio.fail_after(SOON_S):
            await child.wait_ended()
        assert child.exit_code == -signal.SIGKILL
        assert len(living(roll)) == 3
    assert living(roll) == []


async def test_a_child_dies_with_its_warden_and_marked_ones_when_it_is_let_go(tmp_path):
    roll = tmp_path / "roll"
    async with open_child(clan(roll), grace_s=0.1) as child:
        await wait_complete(roll)
        warden_of(child.pid).kill()
        with anyio.fail_after(SOON_S):
            await child.wait_ended()
        assert child.exit_code == -signal.SIGKILL
    # The one that forgot its environment and was orphaned is nobody's to find any more.
    assert len(living(roll)) <= 1
    for pid in living(roll):
        os.kill(pid, signal.SIGKILL)


async def test_a_warden_that_is_asked_to_leave_ends_the_family_first(tmp_path):
    roll = tmp_path / "roll"
    async with open_child(clan(roll), grace_s=0.1) as child:
        await wait_complete(roll)
        warden_of(child.pid).terminate()
        await until(lambda: not living(roll), timeout_s=SOON_S)


async def test_what_is_left_of_a_toolcrib_and_its_wardens_is_ended_by_the_next(tmp_path):
    roll = tmp_path / "roll"
    async with owned(roll) as (owner, pid):
        warden = warden_of(pid)
        owner.send_signal(signal.SIGSTOP)  # so that it does not mourn its warden first
        warden.kill()
        owner.kill()
        await until(lambda: not family.is_alive(warden) and not alive(pid))
    family.end_leftovers()  # as any other Toolcrib that starts on this machine may have done
    await until(lambda: len(living(roll)) <= 1, timeout_s=SOON_S)
    for each in living(roll):
        os.kill(each, signal.SIGKILL)


async def test_the_children_of_a_toolcrib_that_lives_are_no_leftovers(tmp_path):
    roll = tmp_path / "roll"
    async with owned(roll):
        family.end_leftovers()
        assert len(living(roll)) == 4


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("/no/such/command",), "'/no/such/command' was not found; install it"),
        ((str(CLAN.parent),), "cannot be run: .*Permission denied"),
        (("a\0b",), "cannot be run: embedded null byte"),
        ((sys.executable, "a\0b"), "cannot be run: embedded null byte"),
    ],
)
async def test_a_command_that_cannot_be_run_says_why(argv, says):
    with pytest.raises(LinkLost, match=says) as caught:
        async with open_child(StdioTransport(argv[0], argv[1:]), grace_s=0.1):
            pytest.fail("it ran")
    assert not caught.value.delivered


async def test_a_child_is_told_its_folder_environment_and_arguments_and_nothing_else(tmp_path):
    shown = "import os, sys; print(os.getcwd(), os.environ.get('A'), os.environ.get('B'), sys.argv)"
    transport = StdioTransport(
        sys.executable, ("-c", shown, "ä b", "$A"), {"A": "ß\n1"}, cwd=str(tmp_path)
    )
    async with open_child(transport, grace_s=0.5) as child:
        said = await child.stdout.receive()
    assert said.decode() == f"{tmp_path} ß\n1 None ['-c', 'ä b', '$A']\n"


async def test_signals_reach_a_child_as_the_system_made_them():
    shown = "import signal; print(signal.getsignal(signal.SIGPIPE), flush=True)"
    argv = ("-c", f"import os; os.execv('/bin/sh', ['sh', '-c', 'trap; kill -SEGV $$'])#{shown}")
    async with open_child(StdioTransport(sys.executable, argv), grace_s=0.5) as child:
        with anyio.fail_after(SOON_S):
            await child.wait_ended()
    assert child.exit_code == -signal.SIGSEGV


async def test_a_warden_costs_little_and_knows_no_secret(tmp_path):
    roll = tmp_path / "roll"
    transport = StdioTransport(
        sys.executable, (str(CLAN), str(roll), "polite"), {"TOKEN": "s3cr3t"}
    )
    async with open_child(transport, grace_s=0.5) as child:
        await wait_complete(roll)
        warden = warden_of(child.pid)
        assert "s3cr3t" not in str([warden.cmdline(), warden.environ()])
        assert str(roll) not in str(warden.cmdline())
        assert warden.memory_info().rss < 24 * 1024 * 1024
        assert warden.num_fds() < 10


async def test_where_there_are_no_wardens_a_keeper_ends_what_bears_the_mark(tmp_path):
    roll = tmp_path / "roll"
    mark = family.make_mark()
    argv = [sys.executable, str(CLAN), str(roll), "stubborn"]
    async with await anyio.open_process(
        argv, env={**os.environ, family.MARK: mark}, stdin=subprocess.PIPE, stdout=None
    ) as child:
        async with open_keeper() as keeper:
            await keeper.keep(family.MARK, mark)
            await wait_complete(roll)
            await keeper.let_go()
            await until(lambda: len(living(roll)) <= 1, timeout_s=SOON_S)
        await child.wait()
    for each in living(roll):
        os.kill(each, signal.SIGKILL)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_output_that_a_command_closes_is_seen_to_be_closed_though_it_lives_on(anyio_backend):
    del anyio_backend
    script = "import os, sys; os.write(1, b'x'); os.close(1); sys.stdin.read()"
    transport = StdioTransport(sys.executable, ("-c", script))
    async with open_child(transport, grace_s=1.0) as child:
        with anyio.fail_after(SOON_S):
            assert await child.stdout.receive() == b"x"
            with pytest.raises(anyio.EndOfStream):
                await child.stdout.receive()
        assert child.exit_code is None
