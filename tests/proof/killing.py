"""A campaign of SIGKILL: at each named point of a sync and at random times, then once more whole.

Every run begins with the same home, whose upstreams have changed since; after the kill it is run
again, and must leave what a run that nobody killed leaves.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from toolcrib_embeddings.encoding.encoder import Encoder

from .audit import Divergence
from .live import LiveUpstream
from .processes import (
    Home,
    Left,
    compare,
    examine,
    found_home,
    kill_after,
    kill_at,
    lists,
    serve_until_converged,
)

_SERVE = ("serve", "--port", "0")
RANDOM = "a random time"


@dataclass(frozen=True, slots=True)
class Run:
    """One kill: where, in which command, and whether the dead one's leases are waited for."""

    seed: int
    point: str
    command: str = "sync"
    kills: int = 1
    waits: bool = False

    def __str__(self) -> str:
        return f"{self.command} killed {self.kills}x at {self.point} (seed {self.seed})"


@dataclass(slots=True)
class Kills:
    """What a campaign came to."""

    runs: int = 0
    killed: Counter[str] = field(default_factory=Counter[str])
    """Runs in which the process died, by the point where."""
    outran: int = 0
    """Runs at a random time that had ended by then."""
    diverged: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


def plan(points: Sequence[str], runs: int, *, seed: int = 1) -> list[Run]:
    """Spread the runs: every point in turn, by both commands, and as often at random times."""
    rng = random.Random(seed)
    planned: list[Run] = []
    for number in range(runs):
        point = points[number // 2 % len(points)] if number % 2 == 0 else RANDOM
        command = "serve" if number % 10 >= 8 else "sync"
        kills = 2 if number % 16 == 6 else 1
        seed_of_run = rng.randrange(1_000_000)
        planned.append(Run(seed_of_run, point, command, kills, waits=number % 50 == 10))
    return planned


class Campaign:
    """Holds what all runs share: the upstream, the first home, and what a clean run leaves."""

    def __init__(self, folder: Path, cache: Path, upstream: LiveUpstream, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        upstream.lists = lists(1)
        self._first = found_home(folder / "first", cache, upstream)
        upstream.lists = lists(2)
        self.clean, self.clean_s = self._run_clean()

    def _run_clean(self) -> tuple[Left, float]:
        home, started = self._first.copy(self._folder / "clean"), time.monotonic()
        code, output = home.run("sync")
        taken_s = time.monotonic() - started
        if code:
            raise Divergence(f"a clean run ended with {code}: {output}")
        left = examine(home, self._encoder)
        if left.entries == examine(self._first, self._encoder).entries:
            raise Divergence("the clean run changed nothing: there is nothing to lose")
        return left, taken_s

    def run(self, runs: Sequence[Run], *, jobs: int = 1, on_run: Callable[[], None]) -> Kills:
        """Do the runs, so many at a time."""
        kills, started = Kills(), time.monotonic()
        with ThreadPoolExecutor(jobs) as pool:
            for run, died, fault in pool.map(self._run_one, runs):
                kills.runs += 1
                kills.killed[run.point] += died
                kills.outran += not died
                kills.diverged += [f"{run}: {fault}"] if fault else []
                on_run()
        kills.seconds = time.monotonic() - started
        return kills

    def _run_one(self, run: Run) -> tuple[Run, bool, str | None]:
        home = self._first.copy(self._folder / f"run-{run.seed}")
        died = False
        try:
            died = self._kill(run, home)
            self._finish(run, home)
            compare(self.clean, examine(home, self._encoder))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what this run found
            return run, died, f"{type(error).__name__}: {error}"
        shutil.rmtree(home.folder)
        return run, died, None

    def _kill(self, run: Run, home: Home) -> bool:
        rng, died = random.Random(run.seed), False
        command = _SERVE if run.command == "serve" else ("sync",)
        for number in range(run.kills):
            if run.point == RANDOM or number:
                # Most of a short run is its beginning, before there is anything to lose.
                died |= kill_after(home, rng.uniform(0.5, 1.05) * self.clean_s, *command)
            else:
                kill_at(home, run.point, *command)
                died = True
            if not run.waits:
                home.expire_leases()
        return died

    def _finish(self, run: Run, home: Home) -> None:
        if run.command == "serve":
            serve_until_converged(home, self.clean.entries)
            return
        code, output = home.run("sync")
        if code:
            raise Divergence(f"the run after the kill ended with {code}: {output}")
