"""An upstream that fails in every way it can: what its callers see, and what its neighbours notice.

For each fault and transport, in either era: how the call that met it was answered and when, how
long it takes until that server answers again, and the 99th percentile of calls to others meanwhile.
Then one of ten upstreams hangs, with calls waiting on it, in turns with the same load without that.
Everything is real processes (`_faulty`) behind ``toolcrib serve``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import _command
import anyio
import httpx
import psutil
from _faulty import FAULTS, MANY
from _histogram import Histogram
from _pace import arrivals, play
from _speaking import MODERN, Answer, Speaker
from calls import TOOLCRIB, free_port, process, wait_for
from load import (
    DEADLINE_S,
    PATIENCE_S,
    UPSTREAM,
    gateway_environment,
    register,
    serving,
    set_deadline,
)

UPSTREAMS = 10
HANGING = 10
"""Calls that wait on the upstream that hangs, at any time."""
RATE = 40.0
"""Calls a second to the others, all together."""
PARTS = ("faults", "one-of-ten", "ten-thousand-tools")
AGAIN_S = 90.0
"""After this a server counts as not coming back."""
ONLY_HTTP = frozenset({"error-500", "lost-session", "cut"})


PASSING = frozenset({"crash", "half-closed", "cut", "error-500", "lost-session"})
"""Faults that a server may have once, and a second attempt may heal."""


@dataclass(frozen=True, slots=True)
class House:
    """A running Toolcrib, and a client of it."""

    url: str
    http: httpx.AsyncClient

    def speaker(self, server: str, version: str = MODERN) -> Speaker:
        return Speaker(self.http, f"{self.url}/servers/{server}/mcp", version)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at one server."""

    server: str
    fault: str
    once: bool
    """Not again when it is tried again."""


# --- the processes -------------------------------------------------------------------------------


@contextmanager
def standing() -> Generator[tuple[str, str]]:
    """Run all upstreams, and a Toolcrib before them; give its URL, and that of 10,000 tools."""
    well, modern, handshake, port = (free_port() for _ in range(4))
    steady = [f"steady-{number}" for number in range(UPSTREAMS)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as memory:
        python, env = (sys.executable, UPSTREAM, memory), gateway_environment(folder)
        servers = {
            **{name: ["--url", f"http://127.0.0.1:{well}/{name}/mcp"] for name in steady},
            "http": ["--url", f"http://127.0.0.1:{modern}/http/mcp"],
            "http-handshake": ["--url", f"http://127.0.0.1:{handshake}/http/mcp"],
            "stdio": ["--", *python, "stdio"],
            "stdio-handshake": ["--", *python, "stdio", "handshake"],
        }
        with (
            process(*python, "http", str(well)),
            process(*python, "http", str(modern)),
            process(*python, "http", str(handshake), "handshake"),
        ):
            wait_for(f"http://127.0.0.1:{handshake}/")
            register(servers, env)
            with process(str(TOOLCRIB), "serve", "--port", str(port), env=env):
                url = f"http://127.0.0.1:{port}"
                wait_for(f"{url}/readyz")
                set_deadline(url, servers)
                yield url, f"http://127.0.0.1:{well}/many/mcp"


# --- one fault after the other -------------------------------------------------------------------


def cases() -> list[Case]:
    servers = ("http", "http-handshake", "stdio", "stdio-handshake")
    return [
        Case(server, fault, once)
        for server in servers
        for fault in FAULTS
        if fault not in ONLY_HTTP or server.startswith("http")
        if fault != "lost-session" or server == "http-handshake"
        for once in ((True, False) if fault in PASSING else (False,))
    ]


async def meet(house: House, case: Case) -> dict[str, Any]:
    """Let a call meet a fault, with calls to others going on; then wait until all is well."""
    speaker, token = house.speaker(case.server), f"{case.server}-{case.fault}-{case.once}"

    async def work() -> dict[str, Any]:
        asked = {"token": token, "fault": case.fault, "once": case.once}
        met = await speaker.call(asked, timeout_s=PATIENCE_S)
        return {
            "seen": seen(met, token),
            "after_s": round(met.seconds, 2),
            "well_again_after_s": await until_well(speaker, token),
        }

    found, others = await beside(house, work)
    known = {"server": case.server, "fault": case.fault, "once": case.once}
    return {**known, **found, "others_p99_ms": round(others.percentile(99), 1)}


async def beside(
    house: House, work: Callable[[], Awaitable[dict[str, Any]]]
) -> tuple[dict[str, Any], Histogram]:
    """Do something while calls to others go on; return with it how long those took."""
    others, found = Histogram(), dict[str, Any]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load_others, house, others, 3600.0)
        found |= await work()
        tasks.cancel_scope.cancel()
    return found, others


async def until_well(speaker: Speaker, token: str) -> float | None:
    """Say how long it takes until the server answers rightly; None: it does not."""
    started = time.perf_counter()
    while time.perf_counter() - started < AGAIN_S:
        answer = await speaker.call({"token": f"{token}-after"}, timeout_s=PATIENCE_S)
        if answer.kind == "ok" and answer.text == f"{token}-after":
            return round(time.perf_counter() - started, 2)
        await anyio.sleep(0.1)
    return None


def seen(answer: Answer, token: str) -> str:
    """Say what a caller saw."""
    if answer.kind == "ok":
        return "the right answer" if answer.text == token else "A WRONG ANSWER"
    return f"{answer.kind}: {' '.join(answer.text.split())[:160]}"


async def load_others(house: House, into: Histogram, seconds: float) -> None:
    """Call nine servers that are well, at times of their own."""
    speakers = [house.speaker(f"steady-{number}") for number in range(UPSTREAMS - 1)]

    async def one(number: int, due: float) -> None:
        token = f"steady-{number}"
        answer = await speakers[number % len(speakers)].call({"token": token}, timeout_s=PATIENCE_S)
        if answer.kind != "ok" or answer.text != token:
            raise SystemExit(f"a server without a fault: {answer}")
        into.add(1000 * (time.perf_counter() - due))

    await play(arrivals(RATE, seconds, seed=1), one)


# --- one of ten ----------------------------------------------------------------------------------


async def one_of_ten(house: House, *, seconds: float, rounds: int) -> dict[str, Any]:
    """Load nine servers while the tenth is well, and while it hangs, in turns."""
    without, hanging = Histogram(), Histogram()
    for number in range(2 * rounds):
        # Well, hanging, hanging, well: what else goes on has its share in both.
        if number % 4 in {0, 3}:
            await load_others(house, without, seconds)
        else:
            await beside_hanging(house, hanging, seconds)
    return {
        "without": without.summary(),
        "one_hanging": hanging.summary(),
        "calls": len(without) + len(hanging),
        "p99_ratio": round(hanging.percentile(99) / without.percentile(99), 2),
        "p50_ratio": round(hanging.percentile(50) / without.percentile(50), 2),
    }


async def beside_hanging(house: House, into: Histogram, seconds: float) -> None:
    """Load nine servers while calls wait on the tenth."""
    async with anyio.create_task_group() as tasks:
        for _ in range(HANGING):
            tasks.start_soon(hang, house)
        await load_others(house, into, seconds)
        tasks.cancel_scope.cancel()


async def hang(house: House) -> None:
    """Have a call waiting on the tenth, again and again."""
    speaker = house.speaker(f"steady-{UPSTREAMS - 1}")
    while True:
        await speaker.call({"token": "none", "fault": "hang"}, timeout_s=PATIENCE_S)
        # Refused at once, once the breaker is open; what is measured is not a flood of that.
        await anyio.sleep(1)


# --- ten thousand tools --------------------------------------------------------------------------


async def ten_thousand(house: House, url: str) -> dict[str, Any]:
    """Register, sync and list a server of 10,000 tools, with calls to others going on."""

    async def work() -> dict[str, Any]:
        given = {"name": "many", "transport": {"type": "http", "url": url}}
        started = time.perf_counter()
        (await house.http.post(f"{house.url}/api/v1/servers", json=given)).raise_for_status()
        asked = {"servers": ["many"]}
        synced = await house.http.post(f"{house.url}/api/v1/sync", json=asked, timeout=600)
        synced.raise_for_status()
        synced_s = time.perf_counter() - started
        listed_s, listed = await list_all(house)
        return {"synced_s": round(synced_s, 1), "listed": listed, "listed_s": round(listed_s, 2)}

    found, others = await beside(house, work)
    return {**found, "others_p99_ms": round(others.percentile(99), 1)}


async def list_all(house: House) -> tuple[float, int]:
    """List every tool through the pass-through endpoint; return the seconds, and how many."""
    started, count, params = time.perf_counter(), 0, dict[str, Any]()
    speaker = house.speaker("many")
    while True:
        result = await speaker.result("tools/list", params, timeout_s=PATIENCE_S)
        count += len(result["tools"])
        if "nextCursor" not in result:
            return time.perf_counter() - started, count
        params = {"cursor": result["nextCursor"]}


# --- all of it -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    parts: Sequence[str]
    faults: Sequence[str]
    seconds: float
    rounds: int


async def measure(url: str, many: str, plan: Plan) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    found: dict[str, Any] = {"faults": []}
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits) as http:
        house, quiet = House(url, http), Histogram()
        await load_others(house, Histogram(), 3)
        await load_others(house, quiet, plan.seconds)
        found["others_alone_p99_ms"] = round(quiet.percentile(99), 1)
        if "faults" in plan.parts:
            found["faults"] = [await tell(house, c) for c in cases() if c.fault in plan.faults]
        if "one-of-ten" in plan.parts:
            ten = await one_of_ten(house, seconds=plan.seconds, rounds=plan.rounds)
            found["one_of_ten"] = ten
            print(f"one of ten hanging: {ten}", flush=True)
        if "ten-thousand-tools" in plan.parts:
            found["ten_thousand_tools"] = await ten_thousand(house, many)
            print(f"{MANY} tools: {found['ten_thousand_tools']}", flush=True)
    return found


async def tell(house: House, case: Case) -> dict[str, Any]:
    """Let a call meet a fault, and say what came of it."""
    one = await meet(house, case)
    once = "once" if case.once else ""
    print(
        f"{case.server:16}{case.fault:13}{once:5}{one['after_s']:6.2f} s  well after"
        f" {one['well_again_after_s']} s, others p99 {one['others_p99_ms']} ms  {one['seen']}",
        flush=True,
    )
    return one


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=None, help="these faults alone"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=15, help="of load, each time")
    parser.add_argument("--rounds", type=int, default=6, help="in turns, of one of ten hanging")
    args = parser.parse_args()
    plan = Plan(args.parts, args.only or FAULTS, args.seconds, args.rounds)
    load_before = round(os.getloadavg()[0], 1)
    with standing() as (url, many):
        found = anyio.run(measure, url, many, plan)
        serving_memory = psutil.Process(serving().pid).memory_info().rss / 2**20
    found |= {"memory_mb": round(serving_memory), "deadline_s": DEADLINE_S}
    found |= {"load_before": load_before, "load_after": round(os.getloadavg()[0], 1)}
    _command.write(found, args.json)
    sys.exit(any("WRONG" in one["seen"] for one in found["faults"]))


if __name__ == "__main__":
    _command.run(main)
