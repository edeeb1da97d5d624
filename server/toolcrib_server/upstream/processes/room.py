"""How many server processes run at once, and how much memory they take, each and all together.

Where there is no more room, what has been idle for longest makes way; where nothing is idle, it is
waited for, and then refused. Knows numbers and ages; starts and ends nothing itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.to_thread
import psutil

from toolcrib_registry.errors import UpstreamUnavailable
from toolcrib_registry.types import ServerName

_WAIT_S = 10.0
_PAUSE_S = 0.05
_LOOK_S = 2.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """The most that upstream processes may be and take; memory is resident, of whole families."""

    processes: int = 100
    memory_mib: int = 0
    """Of all together; 0 is no limit."""
    memory_of_one_mib: int = 0
    """Of each server with all it started; 0 is no limit."""


class Tenant(Protocol):
    """A connection that has a process."""

    @property
    def server(self) -> ServerName:
        """Whose it is."""
        ...

    @property
    def pid(self) -> int | None:
        """The process; None once it has ended."""
        ...

    @property
    def idle_s(self) -> float | None:
        """How long nobody has used it; None while it cannot be sent away."""
        ...

    def leave(self) -> None:
        """Have it closed for somebody else's sake; the next request opens it again."""
        ...

    def lose(self, reason: str) -> None:
        """Have it closed for what it did; its requests fail with this reason."""
        ...


class Room:
    """The room for processes. Run `watch` beside it where memory is limited."""

    def __init__(self, limits: ProcessLimits, tenants: Callable[[], Collection[Tenant]]) -> None:
        """Ask ``tenants`` for all there are now."""
        self._limits = limits
        self._tenants = tenants
        self._taken = 0
        self._leaving = 0
        self._used_mib: Mapping[int, float] = {}
        """By process, as of the last look."""

    @property
    def taken(self) -> int:
        """How many processes run or are being started or ended."""
        return self._taken

    @asynccontextmanager
    async def enter(self, server: ServerName, *, wait_s: float = _WAIT_S) -> AsyncGenerator[None]:
        """Hold a place for one process.

        Raises:
            UpstreamUnavailable: There is none, and nothing that runs became idle in time.
        """
        with anyio.move_on_after(min(wait_s, _WAIT_S)):
            while self._what_is_full():
                self._make_way()
                await anyio.sleep(_PAUSE_S)
        if full := self._what_is_full():
            raise UpstreamUnavailable(server, full, retry_after_s=1.0)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._leaving = max(0, self._leaving - 1)

    async def watch(self) -> None:
        """Look at the memory of all processes, again and again, and act on it. Never returns."""
        limits = self._limits
        while limits.memory_mib or limits.memory_of_one_mib:
            await anyio.sleep(_LOOK_S)
            tenants = {each.pid: each for each in self._tenants() if each.pid is not None}
            if not tenants:
                self._used_mib = {}
                continue
            used = await anyio.to_thread.run_sync(measure_families, frozenset(tenants))
            self._used_mib = used
            for pid, mib in used.items():
                if limits.memory_of_one_mib and mib > limits.memory_of_one_mib:
                    tenants[pid].lose(_too_much(mib, limits.memory_of_one_mib))
            if self.is_heavy:
                self._let_one_go()

    @property
    def is_heavy(self) -> bool:
        """Whether all together took too much when last looked at."""
        most = self._limits.memory_mib
        return bool(most) and sum(self._used_mib.values()) > most

    def _what_is_full(self) -> str:
        """Say what there is no room in; empty where there is."""
        if self._taken >= self._limits.processes:
            return (
                f"no server process is idle, and at most {self._limits.processes} may run at once "
                "(TOOLCRIB_MAX_PROCESSES)"
            )
        if self.is_heavy:
            return (
                f"the server processes take {sum(self._used_mib.values()):.0f} MiB and none is "
                f"idle; they may take {self._limits.memory_mib} (TOOLCRIB_PROCESS_MEMORY_MB)"
            )
        return ""

    def _make_way(self) -> None:
        # Whoever was sent away takes a moment to go: not one more than is needed is.
        if self._taken - self._leaving >= self._limits.processes or self.is_heavy:
            self._let_one_go()

    def _let_one_go(self) -> None:
        """Have the one leave that was idle for longest, if any is."""
        idle = [(each.idle_s, each) for each in self._tenants()]
        idle_now = [(idle_s, each) for idle_s, each in idle if idle_s is not None]
        if idle_now:
            _, longest = max(idle_now, key=lambda pair: pair[0])
            self._used_mib = {k: v for k, v in self._used_mib.items() if k != longest.pid}
            self._leaving += 1
            longest.leave()


def _too_much(used_mib: float, most_mib: int) -> str:
    return (
        f"its processes took {used_mib:.0f} MiB; a server may take {most_mib} "
        "(TOOLCRIB_SERVER_MEMORY_MB)"
    )


def measure_families(pids: Collection[int]) -> dict[int, float]:
    """Measure what each process and all below its warden take, in MiB. Takes milliseconds."""
    parents: dict[int, int] = {}
    resident: dict[int, float] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            resident[process.pid] = process.memory_info().rss / _MIB
            parents[process.pid] = process.ppid()
    below: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        below.setdefault(parent, []).append(pid)
    return {pid: _sum(_root(pid, parents), below, resident) for pid in pids if pid in parents}


def _root(pid: int, parents: Mapping[int, int]) -> int:
    warden = parents[pid]
    return warden if parents.get(warden) == os.getpid() else pid


def _sum(root: int, below: Mapping[int, list[int]], resident: Mapping[int, float]) -> float:
    total, rest = 0.0, [root]
    while rest:
        pid = rest.pop()
        total += resident.get(pid, 0.0)
        rest += below.get(pid, [])
    return total
