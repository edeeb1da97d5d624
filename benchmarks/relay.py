"""What passing a server through costs a call: an echo tool, directly and by ``/servers/echo/mcp``.

Four processes, as in life: the upstream, Toolcrib, a bare relay of bytes as the lower limit, and
the clients here, which are the SDK's, of either era. The three ways are taken in turns in one run,
and a ratio is the median of those of the rounds, for a busy machine is busy for both; the processor
time is that of the gateway's process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import _command
import anyio
import psutil
from calls import ECHO, TOOLCRIB, free_port, process, wait_for
from mcp import Client

CLIENTS = (1, 8, 32)
ROUNDS = 10
WARMING = 5
ERAS: Mapping[str, Literal["auto", "legacy"]] = {"2026-07-28": "auto", "handshake": "legacy"}
RELAY = Path(__file__).with_name("_relaying.py")
DIRECT = "direct"


@dataclass(slots=True)
class Taken:
    """What was measured one way."""

    times_ms: list[float] = field(default_factory=list[float])
    medians_ms: list[float] = field(default_factory=list[float])
    """Of each round."""
    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(slots=True)
class Round:
    """Clients that all begin when the last of them is ready."""

    clients: int
    ready: int = 0
    go: anyio.Event = field(default_factory=anyio.Event)
    began: float = 0.0

    async def line_up(self) -> None:
        """Wait for the others."""
        self.ready += 1
        if self.ready == self.clients:
            self.began = time.perf_counter()
            self.go.set()
        await self.go.wait()


async def measure(url: str, era: str, taken: Taken, *, clients: int, calls: int) -> None:
    """Time each call of a round, with so many clients calling at once."""
    at = Round(clients)

    async def work() -> None:
        async with Client(url, mode=ERAS[era]) as client:
            for _ in range(WARMING):
                await call(client, "hello")
            await at.line_up()
            for number in range(calls // clients):
                started = time.perf_counter()
                await call(client, f"hello {number}")
                taken.times_ms.append((time.perf_counter() - started) * 1000)
            ended.append(time.perf_counter())

    ended: list[float] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(clients):
            tasks.start_soon(work)
    taken.wall_s += max(ended) - at.began
    taken.medians_ms.append(statistics.median(taken.times_ms[-clients * (calls // clients) :]))


async def call(client: Client, text: str) -> None:
    result = await client.call_tool("echo", {"text": text})
    if result.is_error or getattr(result.content[0], "text", "") != text:
        raise SystemExit(f"wrong answer: {result}")


def used_s(gateway: psutil.Process | None) -> float:
    times = gateway.cpu_times() if gateway else None
    return times.user + times.system if times else 0.0


def compare(
    urls: Mapping[str, str],
    gateways: Mapping[str, psutil.Process],
    era: str,
    *,
    clients: int,
    calls: int,
) -> dict[str, Any]:
    taken = {way: Taken() for way in urls}
    for _ in range(ROUNDS):
        for way, url in urls.items():
            mine, before = taken[way], used_s(gateways.get(way))
            anyio.run(
                lambda url=url, mine=mine: measure(url, era, mine, clients=clients, calls=calls)
            )
            mine.cpu_s += used_s(gateways.get(way)) - before
    return {way: figures(each, taken[DIRECT], clients) for way, each in taken.items()}


def figures(taken: Taken, direct: Taken, clients: int) -> dict[str, float]:
    rate, direct_rate = (len(one.times_ms) / one.wall_s for one in (taken, direct))
    both = zip(taken.medians_ms, direct.medians_ms, strict=True)
    ratios = [mine / theirs for mine, theirs in both]
    # Opening and warming are calls too: two of the handshake or the discovery, and the warm ones.
    made = len(taken.times_ms) + ROUNDS * clients * (WARMING + 2)
    return {
        "p50_ms": round(statistics.median(taken.times_ms), 2),
        "ratio": round(statistics.median(ratios), 2),
        "p99_ms": round(statistics.quantiles(taken.times_ms, n=100)[98], 2),
        "calls_per_s": round(rate, 1),
        "throughput": round(rate / direct_rate, 2),
        "gateway_cpu_ms": round(1000 * taken.cpu_s / made, 2),
        "calls": len(taken.times_ms),
    }


@contextmanager
def standing(path: str) -> Generator[tuple[dict[str, str], dict[str, psutil.Process]]]:
    """Run upstream, relay and Toolcrib; give the URL of each way, and the process in it."""
    upstream, relay, port = free_port(), free_port(), free_port()
    direct = f"http://127.0.0.1:{upstream}/mcp"
    with tempfile.TemporaryDirectory() as folder:
        env = {"TOOLCRIB_DATA_DIR": folder, "TOOLCRIB_SYNC_INTERVAL_S": "0"}
        serve = (str(TOOLCRIB), "serve", "--port", str(port))
        with (
            process(sys.executable, "-c", ECHO, str(upstream)),
            process(sys.executable, str(RELAY), str(relay), str(upstream)),
        ):
            wait_for(direct)
            add = [TOOLCRIB, "add", "echo", "--url", direct]
            subprocess.run(add, env={**os.environ, **env}, check=True)
            with process(*serve, env=env):
                wait_for(f"http://127.0.0.1:{port}/readyz")
                urls = {
                    DIRECT: direct,
                    "bytes": f"http://127.0.0.1:{relay}/mcp",
                    "through": f"http://127.0.0.1:{port}{path}",
                }
                yield urls, {"bytes": child(str(RELAY)), "through": child("serve")}


def child(word: str) -> psutil.Process:
    (found,) = (one for one in psutil.Process().children() if word in one.cmdline())
    return found


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=96, help="calls a round and way")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--eras", nargs="+", choices=list(ERAS), default=list(ERAS))
    parser.add_argument("--path", default="/servers/echo/mcp", help="the endpoint measured")
    args = parser.parse_args()
    results: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 1)}
    with standing(args.path) as (urls, gateways):
        for era in args.eras:
            for clients in args.clients:
                found = compare(urls, gateways, era, clients=clients, calls=args.calls)
                results.setdefault(era, {})[str(clients)] = found
                tell(era, clients, found)
    results["load_after"] = round(os.getloadavg()[0], 1)
    _command.write(results, args.json)


def tell(era: str, clients: int, found: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{era}, {clients} client(s):", flush=True)
    for way, one in found.items():
        print(
            f"  {way:8} p50 {one['p50_ms']:7.2f} ms ({one['ratio']:.2f} x), p99"
            f" {one['p99_ms']:7.2f} ms, {one['calls_per_s']:6.1f} calls/s"
            f" ({one['throughput']:.0%}), gateway {one['gateway_cpu_ms']:.2f} ms of CPU a call",
            flush=True,
        )


if __name__ == "__main__":
    _command.run(main)
