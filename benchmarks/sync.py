"""Sync in numbers: thousands of servers at once, passes over them, and one server that speaks up.

The servers are real MCP endpoints over HTTP in one other process (`_endpoints`), one tool each:
those of ``retrieval/scalemcp_synth`` under ``--data``, made up without it. The encoder is the real
one; its own time is taken in the same run, over the same texts, before and after. Each of these
has a process of its own, so that memory and processor time are those of the sync alone, which runs
on the event loop of the commands.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import _command
import anyio
import httpx
import psutil
from store import make_tools

from toolcrib_embeddings import render_document
from toolcrib_embeddings.documents.representation import DEFAULT_REPRESENTATION
from toolcrib_embeddings.encoding.encoder import SentenceTransformerEncoder
from toolcrib_registry.types import HttpTransport, JsonObject, Server, ServerName, Tool
from toolcrib_server.runtime import Runtime, open_runtime, run_background
from toolcrib_server.settings import Settings
from toolcrib_server.sync.diff import tool_entry
from toolcrib_server.sync.imports import read_import
from toolcrib_server.sync.report import SyncReport

CACHE = Path(__file__).parent.parent / ".cache"
SYNTHETIC = "retrieval/scalemcp_synth/tools.jsonl"
LARGE = "large"
LARGE_TOOLS = 100
ENCODED_AT_ONCE = 512
"""All at once is no faster, and takes memory that would be taken for that of the sync."""

Listed = dict[str, list[JsonObject]]
T = TypeVar("T")


@dataclass(frozen=True)
class Places:
    """Where the servers are, and where they are told what to say."""

    control: str
    urls: Mapping[str, str]


# --- what is listed ------------------------------------------------------------------------------


def read_servers(data: Path | None, count: int, *, bare: bool) -> Listed:
    """Read, or make up, servers of one tool each; ``bare`` leaves out what would be asked of it."""
    if data is not None and (data / SYNTHETIC).is_file():
        tools = read_import(data / SYNTHETIC).tools[:count]
        return {tool.server: [without_meta(tool) if bare else tool.definition] for tool in tools}
    made = make_tools(count, seed=1)
    return {f"made-{number}": [tool.definition] for number, tool in enumerate(made)}


def without_meta(tool: Tool) -> JsonObject:
    return {key: value for key, value in tool.definition.items() if key != "_meta"}


def large_server() -> Listed:
    return {LARGE: [tool.definition for tool in make_tools(LARGE_TOOLS, seed=7)]}


@contextlib.contextmanager
def endpoints(
    listed: Listed, *, tells: Sequence[str] = (), own_ports: bool = False
) -> Generator[Places]:
    """Serve what is listed in a process of its own, at one port or at one for each server."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(listed, file)
        file.flush()
        script = str(Path(__file__).with_name("_endpoints.py"))
        command = [sys.executable, script, file.name, *(["--own-ports"] if own_ports else [])]
        command += ["--tells", *tells]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                yield places(list(listed), child.stdout.readline().split())
            finally:
                child.terminate()


def places(names: Sequence[str], ports: Sequence[str]) -> Places:
    common, *own = [f"http://127.0.0.1:{port}" for port in ports]
    bases = own or [common] * len(names)
    return Places(
        control=f"{common}/control",
        urls={name: f"{base}/{name}/mcp" for name, base in zip(names, bases, strict=True)},
    )


def control(at: Places, **order: Any) -> dict[str, int]:
    return httpx.post(at.control, json=order, timeout=30).json()


# --- what it costs -------------------------------------------------------------------------------


def apart(work: Callable[..., T], *args: Any) -> T:
    """Do something in a process of its own, that has never done anything else."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(work, *args).result()


def encode_alone(listed: Listed) -> tuple[float, float]:
    """Take the encoder's time, and the processors', over the texts that the first sync needs."""
    encoder = SentenceTransformerEncoder.open(CACHE / "encoders")
    documents = [
        render_document(tool_entry(ServerName(name), tool))
        for name, tools in listed.items()
        for tool in tools
    ]
    parts = (DEFAULT_REPRESENTATION.parts(document) for document in documents)
    texts = sorted({part.text for each in parts for part in each}, key=len)
    started, used = time.perf_counter(), time.process_time()
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        encoder.encode(texts[start : start + ENCODED_AT_ONCE])
    return time.perf_counter() - started, time.process_time() - used


def run_passes(at: Places, folder: Path) -> dict[str, Any]:
    return run(lambda: passes(at, folder))


async def passes(at: Places, folder: Path) -> dict[str, Any]:
    """Sync everything into nothing; again with nothing changed; again with 1 % changed."""
    figures: dict[str, Any] = {"servers": len(at.urls)}
    changed = list(at.urls)[:: max(1, len(at.urls) // max(1, len(at.urls) // 100))]
    async with open_runtime(settings(folder)) as runtime:
        await runtime.indexer.index()
        servers = [server(name, url) for name, url in at.urls.items()]
        runtime.store.add_catalogues(servers, (), actor="bench")
        control(at)
        figures |= await timed_sync(runtime, "first", changed=len(at.urls))
        figures |= {"requests_of_first": control(at)["requests"]}
        figures |= await timed_sync(runtime, "nothing_changed", changed=0)
        control(at, change=[[name, 0, f"Now does thing {name}."] for name in changed])
        figures |= {"changed": len(changed)}
        figures |= await timed_sync(runtime, "some_changed", changed=len(changed))
        states = runtime.pool.states()
    return figures | {
        "most_connections": control(at)["most_open"],
        "connections_left": sum(state.status == "open" for state in states),
    }


async def timed_sync(runtime: Runtime, what: str, *, changed: int) -> dict[str, Any]:
    """Take the time of a pass, that of the processors, and the peak of memory until its end."""
    started, used = time.perf_counter(), time.process_time()
    reports = await runtime.reconciler.sync()
    figures = {
        f"{what}_s": round(time.perf_counter() - started, 2),
        f"{what}_cpu_s": round(time.process_time() - used, 2),
        f"{what}_load": round(os.getloadavg()[0], 1),
        f"{what}_peak_mb": peak_mb(),
    }
    print(f"  {figures}", flush=True)
    check(reports, changed=changed)
    return figures


def check(reports: Sequence[SyncReport], *, changed: int) -> None:
    """Make sure that what was timed is what was meant."""
    failed = [report for report in reports if report.error]
    found = sum(report.changed for report in reports)
    if failed or found != changed:
        raise SystemExit(f"{found} of {changed} changed, {len(failed)} failed: {failed[:3]}")


async def latency(at: Places, folder: Path, *, changes: int) -> dict[str, Any]:
    """Time from a notification to the changed tool being findable."""
    async with open_runtime(settings(folder)) as runtime:
        await runtime.indexer.index()
        runtime.store.add_catalogues([server(LARGE, at.urls[LARGE])], (), actor="bench")
        times: list[float] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_background, runtime)
            await until_listening(runtime, at)
            times += [await change_one(runtime, at, number) for number in range(changes)]
            tasks.cancel_scope.cancel()
    cuts = statistics.quantiles(times, n=20)
    return {
        "tools": LARGE_TOOLS,
        "changes": changes,
        "p50_ms": round(statistics.median(times)),
        "p95_ms": round(cuts[18]),
        "max_ms": round(max(times)),
    }


async def until_listening(runtime: Runtime, at: Places) -> None:
    with anyio.fail_after(60):
        while True:
            size = (await runtime.indexer.index()).size
            counts = await anyio.to_thread.run_sync(control, at)
            if size == LARGE_TOOLS and counts["listening"]:
                return
            await anyio.sleep(0.1)


async def change_one(runtime: Runtime, at: Places, number: int) -> float:
    """Change one tool; wait until a search for what it says now finds it."""
    index = await runtime.indexer.index()
    words = " ".join(_word(977 * number + 3571 * step) for step in range(4))
    order = [[LARGE, number % LARGE_TOOLS, f"Use it to {words}."]]
    name = make_tools(LARGE_TOOLS, seed=7)[number % LARGE_TOOLS].local_name
    before = index.revision
    started = time.perf_counter()
    await anyio.to_thread.run_sync(lambda: control(at, change=order))
    with anyio.fail_after(30):
        while True:
            while index.revision == before:  # noqa: ASYNC110  # the index has no events
                await anyio.sleep(0.002)
            taken_ms = 1000 * (time.perf_counter() - started)
            found = (await runtime.selector.search(words, k=5)).found
            if any(one.entry.id == f"tool:{LARGE}__{name}" for one in found):
                break
            before = index.revision
    # As a server that now and then changes; not one that shouts.
    await anyio.sleep(0.4)
    return taken_ms


def _word(number: int) -> str:
    """Make up a word, another one for every number up to a hundred thousand."""
    pairs = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    return "".join(pairs[number // divisor % 70] for divisor in (1, 70, 4900))


# --- the rest ------------------------------------------------------------------------------------


def server(name: str, url: str) -> Server:
    return Server(name=ServerName(name), transport=HttpTransport(url))


def run(work: Callable[[], Awaitable[T]]) -> T:
    return anyio.run(work, backend_options={"use_uvloop": sys.platform != "win32"})


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, cache_dir=CACHE)


def peak_mb() -> int:
    """Peak memory of this process; what is current where the system keeps no peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    return psutil.Process().memory_info().rss // 2**20


def measure_passes(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    listed = read_servers(args.data, args.servers, bare=args.bare)
    with endpoints(listed, own_ports=args.own_ports) as at:
        before = apart(encode_alone, listed)
        figures = apart(run_passes, at, folder)
        own_s, own_cpu_s = map(min, zip(before, apart(encode_alone, listed), strict=True))
    return {
        **figures,
        "encoder_s": round(own_s, 1),
        "encoder_cpu_s": round(own_cpu_s, 1),
        "first_to_encoder": round(figures["first_s"] / own_s, 2),
        "first_to_encoder_cpu": round(figures["first_cpu_s"] / own_cpu_s, 2),
    }


def show(title: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:28}{value:>10}", flush=True)


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--data", type=_command.folder, metavar="FOLDER", help="of the data sets")
    parser.add_argument("--servers", type=int, default=5000)
    parser.add_argument("--bare", action="store_true", help="tools without example questions")
    parser.add_argument("--own-ports", action="store_true", help="each server an origin of its own")
    parser.add_argument("--changes", type=int, default=100, help="notifications that are timed")
    args = parser.parse_args()
    os.environ.pop("TOOLCRIB_CRASH_AT", None)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.changes:
            with endpoints(large_server(), tells=[LARGE]) as at:
                figures["list_changed"] = run(
                    lambda: latency(at, Path(folder) / "one", changes=args.changes)
                )
            show("From list_changed to findable", figures["list_changed"])
        if args.servers:
            figures["passes"] = measure_passes(args, Path(folder) / "many")
            show("Passes over all servers", figures["passes"])
    _command.write(figures, args.json)


if __name__ == "__main__":
    _command.run(main)
