"""How long one large request holds up everybody else: the longest gap of the event loop.

    python benchmarks/stall.py [--mb 28] [--json FILE]

A Toolcrib and a model server in one process; a task that wants to run every millisecond notes how
late it was while a body of so many MiB is posted to ``/v1/chat/completions``. Three bodies: one
image, one long text, very many messages. Each with large bodies handled aside, as Toolcrib does,
and, as the baseline, at once.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import _command
import anyio
import httpx

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_server.asgi import build_app
from toolcrib_server.jsonrpc import bulk
from toolcrib_server.rest.openai import asking
from toolcrib_server.runtime import open_runtime
from toolcrib_server.settings import Settings
from toolcrib_server.upstream.models.testing import open_provider

TICK_S = 0.001
_MB = 1024 * 1024


def bodies(size: int) -> dict[str, list[Any]]:
    """Make the messages of each kind of body."""
    url = "data:image/png;base64," + "QUJD" * (size // 4)
    image = {"type": "image_url", "image_url": {"url": url}}
    one = {"role": "user", "content": "hello there"}
    return {
        "one image": [{"role": "user", "content": [image]}],
        "one long text": [{"role": "user", "content": "word " * (size // 5)}],
        "many messages": [one] * (size // len(json.dumps(one))),
    }


async def longest_gap_s(http: httpx.AsyncClient, raw: bytes) -> tuple[float, float]:
    """Post a body; return the longest gap of the loop meanwhile, and how long the answer took."""
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await anyio.sleep(TICK_S)
            now = time.perf_counter()
            gaps.append(now - last - TICK_S)
            last = now

    answer: httpx.Response | None = None
    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.sleep(0.05)
        answer = await http.post(
            "/v1/chat/completions", content=raw, headers={"content-type": "application/json"}
        )
        tasks.cancel_scope.cancel()
    assert answer is not None, "it was waited for"
    assert answer.is_success, answer.text[:300]
    return max(gaps), time.perf_counter() - began


@contextmanager
def everything_at_once() -> Generator[None]:
    """Take no body for large."""
    places = ((bulk, "BULKY_BYTES"), (bulk, "BULKY_VALUES"), (asking, "BULKY_BYTES"))
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, 2**60)
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
    async with (
        open_provider() as provider,
        open_runtime(settings, open_encoder=HashEncoder) as runtime,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(build_app(runtime)),
            base_url="http://127.0.0.1",
            timeout=120,
        ) as http,
    ):
        offer = {"provider": "here", "remoteModel": "ok", "endpoint": provider.url}
        model: dict[str, Any] = {"name": "m", "descriptor": {}, "offers": [offer]}
        assert (await http.post("/api/v1/models", json=model)).is_success
        yield http


async def measure(size: int) -> dict[str, dict[str, float]]:
    print("| body | longest gap, aside | at once | answered after, aside | at once |")
    print("|---|---|---|---|---|")
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as http:
            for name, messages in bodies(size).items():
                raw = json.dumps({"model": "m", "messages": messages}).encode()
                aside = await longest_gap_s(http, raw)
                with everything_at_once():
                    at_once = await longest_gap_s(http, raw)
                print(
                    f"| {name} | {aside[0] * 1000:.0f} ms | {at_once[0] * 1000:.0f} ms "
                    f"| {aside[1]:.2f} s | {at_once[1]:.2f} s |",
                    flush=True,
                )
                figures[name] = {
                    "gap_aside_ms": round(1000 * aside[0], 1),
                    "gap_at_once_ms": round(1000 * at_once[0], 1),
                    "answer_aside_s": round(aside[1], 3),
                    "answer_at_once_s": round(at_once[1], 3),
                }
    return figures


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--mb", type=float, default=28, help="size of a body, MiB (default 28)")
    args = parser.parse_args()
    _command.write(anyio.run(measure, int(args.mb * _MB)), args.json)


if __name__ == "__main__":
    _command.run(main)
