"""Load that does not wait: calls arrive when they arrive, and every answer is checked.

Each call bears a token that must come back, through ``/servers/{name}/mcp``, to upstreams over HTTP
and stdio, of both eras, for clients of both eras. One call in a hundred asks its upstream to
misbehave once (`_faulty`); it may fail, or be tried again, and none may be answered wrongly.
Latency counts from when a call was due. Exits with 1 on a wrong or crossed answer.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _command
import anyio
import httpx
import psutil
from _histogram import Histogram
from _pace import arrivals, play
from _samples import growth
from _speaking import HANDSHAKE, MODERN, Answer, Speaker
from calls import TOOLCRIB, free_port, process, wait_for

UPSTREAM = str(Path(__file__).with_name("_faulty.py"))
FAULTS = (
    "hang",
    "crash",
    "cut",
    "drip",
    "wrong-id",
    "twice",
    "noise",
    "half-closed",
    "error-500",
    "lost-session",
)
DEADLINE_S = 5.0
PATIENCE_S = 30.0
"""After this, a client gives up; Toolcrib has to answer long before."""
SAMPLE_S = 2.0
SEED = 5


@dataclass(slots=True)
class Tally:
    """What came of a run."""

    healthy: Histogram = field(default_factory=Histogram)
    """Latencies of calls that asked for no fault."""
    answers: Counter[str] = field(default_factory=Counter[str])
    """Of calls that asked for no fault: how they were answered."""
    refusals: Counter[str] = field(default_factory=Counter[str])
    """Of calls that asked for no fault: why they failed."""
    faulted: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Of the others: fault and how they were answered, and the seconds that took."""
    wrong: list[str] = field(default_factory=list[str])
    late: Histogram = field(default_factory=Histogram)
    """How late calls were begun: above a few milliseconds the figures are of this script."""
    memory_mb: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def count(self, token: str, fault: str, answer: Answer, taken_ms: float) -> None:
        """Take in what a call was answered."""
        if answer.kind == "wrong id" or (answer.kind == "ok" and answer.text != token):
            self.wrong.append(f"{token} ({fault or 'no fault'}): {answer}")
        if fault:
            self.faulted.setdefault(f"{fault}: {answer.kind}", []).append(answer.seconds)
            return
        self.healthy.add(taken_ms)
        self.answers[answer.kind] += 1
        if answer.kind != "ok":
            self.refusals[f"{answer.kind}: {answer.text[:200]}"] += 1


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be done."""

    rate: float
    seconds: float
    clients: int
    share: float
    """Of calls that ask for a fault."""


async def generate(load: Load, urls: Sequence[str], gateway: psutil.Process) -> Tally:
    """Let calls arrive; return what came of them."""
    tally, draw = Tally(), random.Random(SEED)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=load.clients)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits) as http:
        speakers = [
            Speaker(http, urls[n % len(urls)], (MODERN, HANDSHAKE)[n // len(urls) % 2])
            for n in range(load.clients)
        ]
        for speaker in speakers:
            await speaker.open()

        async def one(number: int, due: float) -> None:
            tally.late.add(1000 * (time.perf_counter() - due))
            token = f"token-{number}"
            fault = draw.choice(FAULTS) if draw.random() < load.share else ""
            asked = {"token": token, **({"fault": fault, "once": True} if fault else {})}
            answer = await draw.choice(speakers).call(asked, timeout_s=PATIENCE_S)
            tally.count(token, fault, answer, 1000 * (time.perf_counter() - due))

        async with anyio.create_task_group() as watching:
            watching.start_soon(watch, tally, gateway)
            await play(arrivals(load.rate, load.seconds, seed=SEED), one)
            watching.cancel_scope.cancel()
    return tally


async def watch(tally: Tally, gateway: psutil.Process) -> None:
    """Note the gateway's memory, and say how it goes."""
    started = time.perf_counter()
    while True:
        at = time.perf_counter() - started
        tally.memory_mb.append((at, gateway.memory_info().rss / 2**20))
        print(
            f"\r{at:5.0f} s: {len(tally.healthy)} answered, p99 {tally.healthy.percentile(99):.0f}"
            f" ms, {len(tally.wrong)} wrong, {tally.memory_mb[-1][1]:.0f} MB ",
            end="",
            flush=True,
        )
        await anyio.sleep(SAMPLE_S)


@contextmanager
def standing() -> Generator[tuple[list[str], psutil.Process]]:
    """Run upstreams of each kind and a Toolcrib; give the URLs to call, and its process."""
    modern, handshake, port = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as memory:
        python, env = (sys.executable, UPSTREAM, memory), gateway_environment(folder)
        servers = {
            "modern": ["--url", f"http://127.0.0.1:{modern}/a/mcp"],
            "handshake": ["--url", f"http://127.0.0.1:{handshake}/a/mcp"],
            "piped": ["--", *python, "stdio"],
            "piped-handshake": ["--", *python, "stdio", "handshake"],
        }
        with (
            process(*python, "http", str(modern)),
            process(*python, "http", str(handshake), "handshake"),
        ):
            wait_for(f"http://127.0.0.1:{handshake}/")
            register(servers, env)
            with process(str(TOOLCRIB), "serve", "--port", str(port), env=env):
                url = f"http://127.0.0.1:{port}"
                wait_for(f"{url}/readyz")
                set_deadline(url, servers)
                yield [f"{url}/servers/{name}/mcp" for name in servers], serving()


def gateway_environment(folder: str) -> dict[str, str]:
    return {
        "TOOLCRIB_DATA_DIR": folder,
        "TOOLCRIB_SYNC_INTERVAL_S": "0",
    }


def register(servers: Mapping[str, Sequence[str]], env: Mapping[str, str]) -> None:
    for name, options in servers.items():
        add = [str(TOOLCRIB), "add", name, *options]
        subprocess.run(add, env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL)


def set_deadline(url: str, servers: Iterable[str]) -> None:
    for name in servers:
        given = {"callTimeoutS": DEADLINE_S}
        httpx.patch(f"{url}/api/v1/servers/{name}", json=given).raise_for_status()


def serving() -> psutil.Process:
    (found,) = (one for one in psutil.Process().children() if "serve" in one.cmdline())
    return found


def figures(load: Load, tally: Tally) -> dict[str, Any]:
    answered = tally.answers.total()
    return {
        "calls": answered + sum(map(len, tally.faulted.values())),
        "seconds": load.seconds,
        "clients": load.clients,
        "rate": load.rate,
        "wrong_or_crossed": len(tally.wrong),
        "without_fault": {
            "calls": answered,
            "ok": round(tally.answers["ok"] / max(1, answered), 5),
            "answers": dict(tally.answers.most_common()),
            **tally.healthy.summary(),
        },
        "with_fault": {
            name: {"calls": len(seconds), "longest_s": round(max(seconds), 2)}
            for name, seconds in sorted(tally.faulted.items())
        },
        "generator_late_p99_ms": round(tally.late.percentile(99), 1),
        "memory_mb": round(tally.memory_mb[-1][1]),
        "memory_growth": round(growth(tally.memory_mb), 4),
        "machine_load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default 600)")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rate", type=float, default=40, help="calls a second, all together")
    parser.add_argument("--faults", type=float, default=0.01, help="share of calls with a fault")
    args = parser.parse_args()
    load = Load(args.rate, args.seconds, args.clients, args.faults)
    with standing() as (urls, gateway):
        tally = anyio.run(generate, load, urls, gateway)
    found = figures(load, tally)
    print(f"\n{json.dumps(found, indent=2)}")
    for why, count in tally.refusals.most_common(10):
        print(f"{count} without a fault of their own: {why}")
    for wrong in tally.wrong[:20]:
        print(f"WRONG: {wrong}")
    _command.write(found, args.json)
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    _command.run(main)
