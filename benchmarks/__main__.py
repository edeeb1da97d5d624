"""``make bench``: every measurement in turn, into a dated file with the command that made it.

``DATA=…/data make bench`` names the folder of the data sets; what needs them is left out where
there are none.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
WITH_DATA = ("search", "catalogue", "abstention", "stuffing", "sync", "poison", "models", "cache")
EVALUATED = ("no-rerank", "rerank", "no-split", "no-dependencies", "bm25", "dense", "rrf")
WITHOUT = (
    "store",
    "calls",
    "callpath",
    "relay",
    "load",
    "faults",
    "conformance",
    "door",
    "histories",
    "kills",
    "orphans",
)


def scripts(data: Path) -> Iterator[tuple[str, list[str]]]:
    for name in WITHOUT:
        yield name, []
    for name in WITH_DATA:
        if data.is_dir():
            yield name, ["--data", str(data)]
        else:
            print(f"{name}: left out, for there is no {data}; set DATA to the data folder")


def measure(name: str, options: list[str]) -> Any:
    print(f"\n== {name}", flush=True)
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
        subprocess.run([*command, "--json", out.name], check=True)
        return json.loads(Path(out.name).read_text())


def evaluate(data: Path) -> Any:
    """Judge the rankings of every set: as shipped, one stage off, and the baselines."""
    print("\n== toolcrib eval retrieval", flush=True)
    toolcrib = str(Path(sys.executable).with_name("toolcrib"))
    command = [toolcrib, "eval", "retrieval", str(data / "retrieval"), "--limit", "200", "--json"]
    for name in EVALUATED:
        command += ["--config", name]
    with tempfile.TemporaryDirectory() as folder:
        places = {"TOOLCRIB_DATA_DIR": folder, "TOOLCRIB_CACHE_DIR": str(ROOT / ".cache")}
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, env={**os.environ, **places}
        )
    return json.loads(done.stdout)


def main() -> None:
    started = time.monotonic()
    data = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data"))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    results: dict[str, Any] = {
        "command": "make bench",
        "commit": commit.stdout.strip() or None,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    for name, options in scripts(data):
        results[name] = measure(name, options)
    if (data / "retrieval").is_dir():
        results["eval retrieval"] = evaluate(data)
    results["minutes"] = round((time.monotonic() - started) / 60, 1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    file.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nWritten to {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
