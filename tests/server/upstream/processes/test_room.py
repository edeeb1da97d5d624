"""No more processes, and no more memory, than is allowed; who is idle makes way for who is not."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass, field

import anyio
import psutil
import pytest

from toolcrib_registry.errors import UpstreamUnavailable
from toolcrib_registry.types import ServerName
from toolcrib_server.upstream.pool.pool import ConnectionPool
from toolcrib_server.upstream.processes.room import ProcessLimits, Room, measure_families

pytestmark = pytest.mark.anyio

SOON_S = 30.0
HEAVY = ServerName("heavy")


@dataclass(eq=False)
class Resident:
    server: ServerName
    idle_s: float | None = None
    pid: int | None = None
    told: list[str] = field(default_factory=list)
    gone: anyio.Event = field(default_factory=anyio.Event)

    def leave(self):
        self.idle_s = None
        self.told.append("leave")
        self.gone.set()

    def lose(self, reason):
        self.told.append(reason)
        self.gone.set()


async def live(room, resident, entered):
    async with room.enter(resident.server, wait_s=SOON_S):
        entered.append(resident.server)
        await resident.gone.wait()


async def until(condition):
    with anyio.fail_after(SOON_S):
        while not condition():  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.01)


async def test_the_one_that_was_idle_for_longest_makes_way_and_no_other():
    residents = [Resident(ServerName(name)) for name in "abcd"]
    entered = []
    room = Room(ProcessLimits(processes=3), lambda: residents[:3])
    async with anyio.create_task_group() as tasks:
        for each in residents[:3]:
            tasks.start_soon(live, room, each, entered)
        await until(lambda: len(entered) == 3)
        residents[0].idle_s, residents[1].idle_s, residents[2].idle_s = 2.0, 50.0, 3.0
        tasks.start_soon(live, room, residents[3], entered)
        await until(lambda: len(entered) == 4)
        assert [each.told for each in residents] == [[], ["leave"], [], []]
        assert room.taken == 3
        for each in residents:
            each.gone.set()
    assert room.taken == 0


async def test_where_nobody_is_idle_the_next_waits_and_is_refused_with_the_settings_name():
    busy = Resident(ServerName("busy"))
    entered = []
    room = Room(ProcessLimits(processes=1), lambda: [busy])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live, room, busy, entered)
        await until(lambda: entered)
        with pytest.raises(UpstreamUnavailable, match="TOOLCRIB_MAX_PROCESSES") as caught:
            async with room.enter(ServerName("next"), wait_s=0.1):
                pytest.fail("it entered")
        assert caught.value.server == "next"
        tasks.start_soon(live, room, Resident(ServerName("later")), entered)
        busy.gone.set()
        await until(lambda: "later" in entered)
        tasks.cancel_scope.cancel()
    assert room.taken == 0


@contextlib.contextmanager
def hungry(mib):
    script = (
        f"import time; data = bytearray(b'x') * ({mib} << 20); print(1, flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


async def test_who_takes_too_much_is_ended_and_told_which_setting_says_so():
    with hungry(60) as heavy, hungry(1) as light:
        residents = [Resident(HEAVY, None, heavy), Resident(ServerName("light"), None, light)]
        room = Room(ProcessLimits(memory_of_one_mib=50), lambda: residents)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(room.watch)
            with anyio.fail_after(SOON_S):
                await residents[0].gone.wait()
            tasks.cancel_scope.cancel()
    assert "a server may take 50 (TOOLCRIB_SERVER_MEMORY_MB)" in residents[0].told[0]
    assert residents[1].told == []


async def test_together_they_take_no_more_than_is_allowed_and_the_next_is_refused():
    with hungry(60) as heavy:
        resident = Resident(HEAVY, None, heavy)
        room = Room(ProcessLimits(memory_mib=50), lambda: [resident])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(room.watch)
            await until(lambda: room.is_heavy)
            with pytest.raises(UpstreamUnavailable, match="TOOLCRIB_PROCESS_MEMORY_MB"):
                async with room.enter(ServerName("next"), wait_s=0.1):
                    pytest.fail("it entered")
            assert resident.told == []
            resident.idle_s = 1.0
            async with room.enter(ServerName("next"), wait_s=SOON_S):
                assert resident.told == ["leave"]
            tasks.cancel_scope.cancel()


def test_memory_is_that_of_the_whole_family():
    inner = "import time; data = bytearray(b'x') * (40 << 20); print(1, flush=True); time.sleep(60)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = measure_families([process.pid, 2**22 + 1])
        for child in psutil.Process(process.pid).children():
            child.kill()
    assert list(used) == [process.pid]
    assert 40 < used[process.pid] < 200
    assert measure_families([os.getpid()])[os.getpid()] > 10


async def test_a_pool_runs_no_more_processes_than_it_may(raw):
    servers = [raw("ok", name=f"s{number}") for number in range(4)]
    async with ConnectionPool(processes=ProcessLimits(processes=2)) as pool:
        for server in (*servers, *servers):
            with anyio.fail_after(SOON_S):
                await pool.call_tool(server, "echo", {}, timeout_s=5)
            assert sum(bool(state.pids) for state in pool.states()) <= 2
        called = {state.server for state in pool.states() if state.pids}
    assert servers[-1].name in called


async def test_a_pool_that_is_full_of_busy_servers_says_so(raw):
    busy, late = raw("hang-on-call", name="busy"), raw("ok", name="late", start_timeout_s=0.3)
    async with (
        ConnectionPool(processes=ProcessLimits(processes=1)) as pool,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: pool.call_tool(busy, "echo", {}, timeout_s=60))
        await until(lambda: any(state.in_flight for state in pool.states()))
        with pytest.raises(UpstreamUnavailable, match="TOOLCRIB_MAX_PROCESSES"):
            await pool.call_tool(late, "echo", {}, timeout_s=5)
        tasks.cancel_scope.cancel()


async def test_a_server_that_grows_too_large_fails_its_call_with_the_reason_and_starts_again(raw):
    server = raw("ok", name="small")
    limits = ProcessLimits(memory_of_one_mib=1)
    async with ConnectionPool(processes=limits) as pool:
        await pool.call_tool(server, "echo", {}, timeout_s=5)
        await until(lambda: pool.states()[0].last_error)
        assert "TOOLCRIB_SERVER_MEMORY_MB" in (pool.states()[0].last_error or "")
        await pool.call_tool(server, "echo", {}, timeout_s=5)
        assert pool.states()[0].opened == 2
