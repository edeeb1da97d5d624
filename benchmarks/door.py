"""What ``/v1/chat/completions`` adds to the first token: a model server directly, and through it.

Three processes, as in life: the model server (which answers at once), Toolcrib with the bundled
encoder, and the client here. Requests go in turns, each with a prompt of its own, so that nothing
is remembered; the figures are of the same minutes on the same machine. What a busy machine adds is
in the wall times, not in the processor time that Toolcrib took for each request.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _command
import anyio
import httpx
import psutil
from calls import TOOLCRIB, free_port, process, wait_for

FIRST_TOKEN = re.compile('"content": ?"H')
MODEL_SERVER = ("-m", "toolcrib_server.upstream.models.testing")
SKILLS = (
    "summarises legal contracts",
    "writes Python code",
    "translates between European languages",
    "answers medical questions",
    "explains mathematics step by step",
    "drafts marketing copy",
    "extracts tables from reports",
    "plans journeys",
)
ASKS = (
    "Summarise clause {} of the supply contract in two sentences.",
    "Write a Python function that sorts {} records by date.",
    "Translate invoice number {} into French.",
    "Why does a fever of {} tenths above normal matter?",
    "What is the derivative of x to the power of {}?",
    "Write a slogan for shop number {}.",
)


def models(url: str, *, reachable: int, known: int) -> Iterator[dict[str, Any]]:
    """Describe models that can be called, and as many more that can only be found."""
    for number in range(reachable + known):
        skill = SKILLS[number % len(SKILLS)]
        offer: dict[str, Any] = {
            "provider": f"provider-{number % 7}",
            "remoteModel": "ok",
            "priceInUsd": (number % 40) / 10,
            "priceOutUsd": (number % 90) / 10,
        }
        if number < reachable:
            offer["endpoint"] = url
        yield {
            "name": f"vendor-{number % 23}/model-{number}",
            "description": f"A model that {skill}; variant {number}.",
            "descriptor": {"contextTokens": 32_768, "modalitiesIn": ["text"]},
            "offers": [offer],
        }


async def first_token_ms(client: httpx.AsyncClient, url: str, model: str, ask: str) -> float:
    """Time a streamed chat from the request to the first token of the answer."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": ask}]}
    started = time.perf_counter()
    async with client.stream("POST", f"{url}/chat/completions", json=body) as answer:
        answer.raise_for_status()
        taken = None
        async for line in answer.aiter_lines():
            if taken is None and FIRST_TOKEN.search(line):
                taken = (time.perf_counter() - started) * 1000
    if taken is None:
        raise SystemExit(f"no token came through {url}")
    return taken


def fastest(values: list[float]) -> float:
    """Give the tenth percentile: what it takes where nobody else is in the way."""
    return sorted(values)[len(values) // 10]


async def processor_ms(client: httpx.AsyncClient, url: str, model: str, *, calls: int) -> float:
    """Measure the processor time that Toolcrib takes for a request, all its threads together."""
    (serving,) = (child for child in psutil.Process().children() if "serve" in child.cmdline())
    before = serving.cpu_times()
    for number in range(calls):
        ask = ASKS[number % len(ASKS)].format(f"{model}{number}")
        await first_token_ms(client, url, model, ask)
    after = serving.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    return round(1000 * spent_s / calls, 2)


async def compare(direct: str, through: str, named: str, *, calls: int) -> dict[str, Any]:
    paths = {
        "direct": (direct, "ok"),
        "named": (through, named),
        "auto": (through, "auto"),
        "auto:cheapest": (through, "auto:cheapest"),
    }
    taken: dict[str, list[float]] = {name: [] for name in paths}
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(-20, calls):
            for name, (url, model) in paths.items():
                ask = ASKS[number % len(ASKS)].format(f"{number} {name}")
                ms = await first_token_ms(client, url, model, ask)
                if number >= 0:
                    taken[name].append(ms)
        used = {
            name: await processor_ms(client, *path, calls=calls // 2)
            for name, path in paths.items()
            if name != "direct"
        }
    base = statistics.median(taken["direct"])
    return {
        name: {
            "p50_ms": round(statistics.median(values), 2),
            "p95_ms": round(sorted(values)[len(values) * 95 // 100], 2),
            "added_p50_ms": round(statistics.median(values) - base, 2),
            "added_p10_ms": round(fastest(values) - fastest(taken["direct"]), 2),
            "server_cpu_ms": used.get(name),
        }
        for name, values in taken.items()
    }


def run(*, calls: int, reachable: int, known: int) -> dict[str, Any]:
    port, serving = free_port(), free_port()
    direct, through = f"http://127.0.0.1:{port}/v1", f"http://127.0.0.1:{serving}/v1"
    with tempfile.TemporaryDirectory() as folder:
        env = {"TOOLCRIB_DATA_DIR": folder, "TOOLCRIB_SYNC_INTERVAL_S": "0"}
        described = list(models(direct, reachable=reachable, known=known))
        file = Path(folder) / "models.json"
        file.write_text(json.dumps(described))
        told = {**os.environ, **env}
        subprocess.run([TOOLCRIB, "import", file], env=told, check=True, capture_output=True)
        serve = (str(TOOLCRIB), "serve", "--port", str(serving))
        with process(sys.executable, *MODEL_SERVER, str(port)), process(*serve, env=env):
            wait_for(f"http://127.0.0.1:{port}/health")
            wait_for(f"http://127.0.0.1:{serving}/healthz")
            named = described[0]["name"]
            figures = anyio.run(lambda: compare(direct, through, named, calls=calls))
    return {"calls": calls, "reachable": reachable, "known": known, "first_token": figures}


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=200, help="of each path (default 200)")
    parser.add_argument("--reachable", type=int, default=50, help="models with an endpoint")
    parser.add_argument("--known", type=int, default=1_000, help="models without one")
    args = parser.parse_args()
    figures = run(calls=args.calls, reachable=args.reachable, known=args.known)
    for name, figure in figures["first_token"].items():
        print(
            f"{name}: first token p50 {figure['p50_ms']} ms, p95 {figure['p95_ms']} ms, "
            f"added {figure['added_p50_ms']} ms (p10 {figure['added_p10_ms']} ms), "
            f"processor {figure['server_cpu_ms'] or '-'} ms a request"
        )
    _command.write(figures, args.json)


if __name__ == "__main__":
    _command.run(main)
