"""A large catalogue through the whole product: import, import again, start, first search, memory.

Imports ``corpus/toucan_mcp/tools.jsonl`` (17,570 real tools) into a data folder under ``.cache``,
with the real encoder; the encoder's own time is taken inside the same run.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import _command
import anyio
import psutil

from toolcrib_embeddings.encoding.encoder import Encoder, Encoding, SentenceTransformerEncoder
from toolcrib_embeddings.encoding.forwarding import ForwardingEncoder
from toolcrib_embeddings.queries.steps import Span
from toolcrib_embeddings.vectors import FloatMatrix
from toolcrib_server.runtime import open_runtime
from toolcrib_server.settings import Settings
from toolcrib_server.sync.imports import read_import

TOOLCRIB = Path(sys.executable).with_name("toolcrib")
CACHE = Path(__file__).parent.parent / ".cache"
TOOLS = "corpus/toucan_mcp/tools.jsonl"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
QUERIES = [
    "what is the weather in Paris tomorrow",
    "search scientific papers about protein folding",
    "create a pull request on GitHub",
]


class TimedEncoder(ForwardingEncoder):
    """An encoder that adds up the time spent inside it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.spent_s = 0.0

    def encode(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
    ) -> FloatMatrix:
        with self._timed():
            return super().encode(texts, on_progress=on_progress)

    def encode_documents(
        self, texts: Sequence[str], *, on_progress: Callable[[int], None] | None = None
    ) -> Encoding:
        with self._timed():
            return super().encode_documents(texts, on_progress=on_progress)

    def encode_query(self, text: str, spans: Sequence[Span] = ()) -> Encoding:
        with self._timed():
            return super().encode_query(text, spans)

    @contextmanager
    def _timed(self) -> Generator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s += time.perf_counter() - started


def read_queries(data: Path, *, each: int = 30) -> list[str]:
    """Read the first queries of every retrieval set: short and long, as people write them."""
    queries: list[str] = []
    for file in sorted(data.glob("retrieval/*/queries.jsonl")):
        with file.open() as lines:
            queries += [json.loads(line)["text"] for line in islice(lines, each)]
    return queries


async def import_twice(data: Path, settings: Settings, tools: int | None) -> dict[str, Any]:
    """Import into nothing, and again."""
    timed = TimedEncoder(SentenceTransformerEncoder.open(settings.cache_dir / "encoders"))
    figures: dict[str, Any] = {}
    async with open_runtime(settings, open_encoder=lambda: timed) as runtime:
        await runtime.indexer.index()
        times: list[float] = []
        for first in (True, False):
            started = time.perf_counter()
            imported = await anyio.to_thread.run_sync(read_import, data / TOOLS)
            report = await runtime.registrar.import_tools(
                imported.tools[:tools], source=imported.source, actor="bench", on_progress=show
            )
            times.append(time.perf_counter() - started)
            if first:
                figures |= {"tools": len(imported.tools[:tools]), "embedded": report.index.embedded}
                figures["encoder_s"] = round(timed.spent_s, 1)
            elif report.changed:
                raise SystemExit("the second import changed something")
        sys.stderr.write("\n")
        figures |= {
            "first_import_s": round(times[0], 1),
            "encoder_share": round(figures["encoder_s"] / times[0], 3),
            "second_import_s": round(times[1], 2),
            "second_is_faster_by": round(times[0] / times[1]),
        }
    return figures


async def search_warm(data: Path, settings: Settings) -> dict[str, float]:
    """Search in a process that only searches."""
    timed = TimedEncoder(SentenceTransformerEncoder.open(settings.cache_dir / "encoders"))
    async with open_runtime(settings, open_encoder=lambda: timed) as runtime:
        index = await runtime.indexer.index()
        # As a process that serves does in the background.
        await runtime.selector.warm()
        queries = read_queries(data)
        figures = await time_search(runtime.selector.search, timed, queries)
        times: list[float] = []
        for query in queries:
            started = time.perf_counter()
            index.search(f"{query}y", k=5)
            times.append(1000 * (time.perf_counter() - started))
        figures["index_p50_ms"] = round(statistics.median(times), 2)
        figures["index_to_encode"] = round(figures["index_p50_ms"] / figures["encode_p50_ms"], 2)
        return figures


def show(done: int, total: int) -> None:
    if done == total or done % 1024 == 0:
        sys.stderr.write(f"\rembedded {done} of {total}")


async def time_search(
    search: Callable[..., Any], encoder: TimedEncoder, queries: Sequence[str]
) -> dict[str, float]:
    """Time new queries, the same again, and the encoding of each alone."""
    encode: list[float] = []
    new: list[float] = []
    again: list[float] = []
    for query in queries:
        started = time.perf_counter()
        # One more letter makes it a text of the same length that was never seen.
        encoder.encode([f"{query}x"])
        encode.append(time.perf_counter() - started)
        started = time.perf_counter()
        await search(query, k=5)
        new.append(time.perf_counter() - started)
        started = time.perf_counter()
        await search(query, k=5)
        again.append(time.perf_counter() - started)
    medians = [1000 * statistics.median(times) for times in (encode, new, again)]
    return {
        "encode_p50_ms": round(medians[0], 2),
        "search_p50_ms": round(medians[1], 2),
        "search_to_encode": round(medians[1] / medians[0], 2),
        "repeated_p50_ms": round(medians[2], 3),
    }


def time_stdio(settings: Settings) -> dict[str, Any]:
    """Start ``toolcrib stdio`` on the imported catalogue, as an assistant does."""
    runs = [_one_start(settings) for _ in range(3)]
    return {
        "discover_s": min(run[0] for run in runs),
        "first_search_s": min(run[1] for run in runs),
        "rss_mb": max(run[2] for run in runs),
        "torch_imported": any(run[3] for run in runs),
    }


def _one_start(settings: Settings) -> tuple[float, float, int, bool]:
    env = {
        **os.environ,
        "TOOLCRIB_DATA_DIR": str(settings.data_dir),
        "TOOLCRIB_CACHE_DIR": str(settings.cache_dir),
        "TOOLCRIB_SYNC_INTERVAL_S": "0",
    }
    started = time.perf_counter()
    child = subprocess.Popen([TOOLCRIB, "stdio"], stdin=-1, stdout=-1, env=env, text=True)
    try:
        _ask(child, 1, "server/discover", {})
        discovered = time.perf_counter() - started
        _ask(child, 2, "tools/call", {"name": "search_tools", "arguments": {"query": QUERIES[0]}})
        searched = time.perf_counter() - started
        for i, query in enumerate(QUERIES, start=3):
            _ask(child, i, "tools/call", {"name": "search_tools", "arguments": {"query": query}})
        rss = psutil.Process(child.pid).memory_info().rss // 2**20
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        return round(discovered, 2), round(searched, 2), rss, "libtorch" in maps
    finally:
        assert child.stdin
        child.stdin.close()
        child.wait(timeout=20)


def _ask(child: subprocess.Popen[str], number: int, method: str, params: dict[str, Any]) -> None:
    assert child.stdin
    assert child.stdout
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params | {"_meta": META}}
    child.stdin.write(json.dumps(request) + "\n")
    child.stdin.flush()
    for line in child.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            if "error" in answer or answer["result"].get("isError"):
                raise SystemExit(f"{method} failed: {line}")
            return
    raise SystemExit("toolcrib stdio ended early")


def run(data: Path, *, tools: int | None = None, fresh: bool = True) -> dict[str, Any]:
    """Measure everything; ``fresh`` imports from nothing."""
    folder = CACHE / "bench" / ("data" if tools is None else f"data-{tools}")
    settings = Settings(data_dir=folder, cache_dir=CACHE)
    figures: dict[str, Any] = {}
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        figures |= anyio.run(import_twice, data, settings, tools)
    return figures | anyio.run(search_warm, data, settings) | time_stdio(settings)


def main() -> None:
    parser = _command.parser(__doc__, data=True)
    parser.add_argument("--tools", type=int, help="only the first so many (default all)")
    parser.add_argument("--keep", action="store_true", help="use the data of the last run")
    args = parser.parse_args()
    figures = run(args.data, tools=args.tools, fresh=not args.keep)
    for name, value in figures.items():
        print(f"{name}: {value}")
    _command.write(figures, args.json)


if __name__ == "__main__":
    _command.run(main)
