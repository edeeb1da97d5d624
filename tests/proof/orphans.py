"""Kills of server, client and gateway at random times, and a count of who is left after each.

Real ``toolcrib serve`` and ``toolcrib stdio`` with real stdio servers whose families ignore that
their input was closed, ignore SIGTERM, detach themselves and forget their environment.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
PLACES = Path(__file__).parent
CLAN = PLACES.parent / "server" / "upstream" / "servers" / "clan.py"
CLIENT = PLACES / "servers" / "caller.py"
SERVERS = {"polite": "polite", "stubborn": "stubborn"}
FACES = ("serve", "stdio")
VICTIMS = ("server", "client", "gateway")
ALLOWED_S = 5.0
_DEADLINE_S = 60.0
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """One kill: of whom, behind which face, and how long after (or before) all was up."""

    number: int
    face: str
    victim: str
    number_of_signal: int
    delay_s: float
    early: bool
    """The delay counts from the start of all, when nobody may be up yet."""

    def __str__(self) -> str:
        when = "from the start" if self.early else "after the first answers"
        name = signal.Signals(self.number_of_signal).name
        return f"{name} to the {self.victim} of {self.face}, {self.delay_s:.2f} s {when}"


@dataclass(slots=True)
class Count:
    """What a campaign came to."""

    runs: int = 0
    killed: Counter[str] = field(default_factory=Counter[str])
    orphans: list[str] = field(default_factory=list[str])
    """Each process that was left after the time allowed, with the run that left it."""
    unhealed: list[str] = field(default_factory=list[str])
    """Runs after which a gateway that was not killed did not answer."""
    longest_s: float = 0.0
    """The longest that anybody was left at all."""


def plan(runs: int, *, seed: int) -> Iterator[Run]:
    """Deal the kills out evenly over faces and victims, at times drawn from the seed."""
    dice = random.Random(seed)
    for number in range(runs):
        face, victim = FACES[number % 2], VICTIMS[number // 2 % 3]
        early = victim != "server" and dice.random() < 0.3
        how = signal.SIGKILL if victim == "server" or dice.random() < 0.8 else signal.SIGTERM
        yield Run(number, face, victim, how, dice.uniform(0, 2.5 if early else 0.4), early)


class Campaign:
    """Runs kills, each in a copy of one home."""

    def __init__(self, folder: Path, cache: Path, *, allowed_s: float = ALLOWED_S) -> None:
        """Prepare for kills: ``allowed_s`` after each nobody may be left."""
        self._folder = folder
        self._cache = cache
        self._allowed_s = allowed_s
        self._first = folder / "first"
        roll = folder / "first-roll"
        for name, manners in SERVERS.items():
            argv = ["add", name, "-e", "ROLL=${ROLL}", "--", sys.executable, str(CLAN), "", manners]
            subprocess.run(
                [TOOLCRIB, *argv], env=self._environment(self._first, roll), check=True, text=True
            )

    def run(self, runs: Sequence[Run], *, jobs: int, on_run: Callable[[], None]) -> Count:
        """Run them, so many at a time, and count."""
        count = Count()
        with ThreadPoolExecutor(jobs) as pool:
            for run, (left, unhealed, lasted_s) in zip(
                runs, pool.map(self._one, runs), strict=True
            ):
                count.runs += 1
                count.killed[f"{run.face} {run.victim}"] += 1
                count.orphans += [f"{run}: {each}" for each in left]
                count.unhealed += [f"{run}: {unhealed}"] if unhealed else []
                count.longest_s = max(count.longest_s, lasted_s)
                on_run()
        count.orphans += self._wardens_left()
        return count

    def _environment(self, home: Path, roll: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TOOLCRIB_")}
        return {
            **kept,
            "TOOLCRIB_DATA_DIR": str(home),
            "TOOLCRIB_CACHE_DIR": str(self._cache),
            "HOME": str(home),  # which is all that its wardens can be known by
            "ROLL": str(roll),
        }

    def _wardens_left(self) -> list[str]:
        """Find wardens of ours whose Toolcrib is no more, and who stay."""
        until = time.monotonic() + self._allowed_s
        while (left := self._orphaned_wardens()) and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        return left

    def _orphaned_wardens(self) -> list[str]:
        found: list[str] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_warden = any("warden.py" in part for part in process.cmdline())
                is_ours = Path(process.environ().get("HOME", "")).parent == self._folder
                if is_warden and is_ours and process.ppid() == 1 and _is_alive(process):
                    found.append(_describe(process))
        return found

    def _one(self, run: Run) -> tuple[list[str], str, float]:
        home, roll = self._folder / f"home-{run.number}", self._folder / f"roll-{run.number}"
        shutil.copytree(self._first, home)
        roll.touch()
        scene = Scene(run, roll, self._environment(home, roll), self._allowed_s)
        try:
            return scene.play()
        except RuntimeError as error:  # it did not even begin: that is no success
            return [], str(error), 0.0
        finally:
            scene.clear()
            shutil.rmtree(home, ignore_errors=True)


class Scene:
    """One run: a client, a gateway, two servers and their families."""

    def __init__(self, run: Run, roll: Path, environment: dict[str, str], allowed_s: float) -> None:
        self._run = run
        self._roll = roll
        self._environment = environment
        self._allowed_s = allowed_s
        self._gateway: subprocess.Popen[bytes] | None = None
        self._client: subprocess.Popen[str] | None = None
        self._url = ""
        self._place: socket.socket | None = None

    def play(self) -> tuple[list[str], str, float]:
        """Start, kill, look; return who was left, what did not heal, and how long some lasted."""
        run = self._run
        self._start()
        if run.early:
            time.sleep(run.delay_s)
        else:
            self._wait_answers(self._client)
            time.sleep(run.delay_s)
        unhealed = ""
        if run.victim == "server":
            left, lasted_s = self._kill_server()
            unhealed = self._try_again()
            return [*left, *self._end_all()], unhealed, lasted_s
        victim = self._find_gateway() if run.victim == "gateway" else self._client
        if victim is None:  # it was not up yet
            return self._end_all(), "", 0.0
        victim.send_signal(run.number_of_signal)
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            victim.wait(_DEADLINE_S)
        if run.victim == "client" and run.face == "serve":
            unhealed = "" if run.early else self._try_again()
            return self._end_all(), unhealed, 0.0
        if run.victim == "client" and run.early:
            self._wait_for_start()
        left, lasted_s = self._watch(self._everybody)
        return left, unhealed, lasted_s

    def _wait_for_start(self) -> None:
        """Let a gateway whose client died first come up, and so notice; that is not yet an end."""
        until = time.monotonic() + _DEADLINE_S
        while any(map(_is_gateway, self._everybody())) and time.monotonic() < until:
            time.sleep(_PAUSE_S)

    def clear(self) -> None:
        """Leave nobody, whatever happened."""
        if self._place is not None:
            self._place.close()
        for process in (self._client, self._gateway):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        for each in self._everybody():
            with contextlib.suppress(psutil.Error):
                each.kill()

    def _start(self) -> None:
        if self._run.face == "serve":
            self._place = _bind_free_port()
            port = self._place.getsockname()[1]
            if sys.platform != "linux":
                self._place.close()  # there it could not be bound once more
            self._url = f"http://127.0.0.1:{port}/mcp"
            self._gateway = subprocess.Popen(
                [TOOLCRIB, "serve", "--port", str(port)],
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._client = self._call()

    def _call(self) -> subprocess.Popen[str]:
        where = [self._url] if self._url else [str(TOOLCRIB), "stdio"]
        return subprocess.Popen(
            [sys.executable, str(CLIENT), *where],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _wait_answers(self, client: subprocess.Popen[str] | None) -> None:
        assert client is not None
        assert client.stdout is not None
        if client.stdout.readline() != "up\n":
            raise RuntimeError(f"{self._run}: the client got no answer")

    def _find_gateway(self) -> psutil.Process | None:
        if self._gateway is not None:
            return psutil.Process(self._gateway.pid)
        assert self._client is not None
        children = psutil.Process(self._client.pid).children()
        return children[0] if children else None

    def _kill_server(self) -> tuple[list[str], float]:
        servers = [each for each in self._everybody() if _is_server(each)]
        victim = random.Random(self._run.number).choice(servers)
        kin = [victim, *victim.children(recursive=True)]
        family = [*kin, *self._forgotten_of(victim)]
        victim.kill()
        return self._watch(lambda: [each for each in family if _is_alive(each)])

    def _forgotten_of(self, victim: psutil.Process) -> list[psutil.Process]:
        # Below its warden is all of its family, those too that are its children no more.
        warden = victim.parent()
        below = warden.children(recursive=True) if warden is not None else []
        return [each for each in below if each.pid != victim.pid]

    def _try_again(self) -> str:
        """Have every server answer once more, to a new client where the old one is gone."""
        if self._run.face == "stdio":
            return ""  # its client goes on calling, and ends where it is not answered
        again = self._call()
        try:
            self._wait_answers(again)
        except RuntimeError as error:
            return str(error)
        finally:
            again.kill()
            again.wait()
            if again.stdout is not None:
                again.stdout.close()
        return ""

    def _end_all(self) -> list[str]:
        gateway = self._find_gateway() if self._client is not None else None
        if gateway is not None:
            gateway.kill()
            if self._gateway is not None:
                self._gateway.wait()
        left, _ = self._watch(self._everybody)
        return left

    def _watch(self, find: Callable[[], list[psutil.Process]]) -> tuple[list[str], float]:
        """Wait until nobody is found, or the time allowed is up; return who is left."""
        began = time.monotonic()
        while time.monotonic() - began < self._allowed_s:
            if not find():
                return [], time.monotonic() - began
            time.sleep(_PAUSE_S)
        return [_describe(each) for each in find()], time.monotonic() - began

    def _everybody(self) -> list[psutil.Process]:
        """Find all that run for this scene but its client and a gateway that is not dead."""
        known = {each.pid for each in (self._client, self._gateway) if each is not None}
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid not in known and _is_alive(process) and self._is_ours(process):
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if any(str(self._roll) in part for part in process.cmdline()):
            return True
        return process.environ().get("ROLL") == str(self._roll)


def _is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(CLAN) in process.cmdline() and not process.cmdline()[-1].startswith("of-the")
    return False


def _is_gateway(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(TOOLCRIB) in process.cmdline()
    return False


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[-60:]!r}"
    return str(process.pid)


def _bind_free_port() -> socket.socket:
    """Keep a port for a server that may bind it too: on Linux nobody else is given it meanwhile."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place
