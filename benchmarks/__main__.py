"""``make bench``: every measurement in turn, into a dated file with the command that made it.

``make bench DATA=FOLDER`` names the folder of the data sets; without it, what needs them is left
out. ``make bench ONLY="search models"`` measures those alone, and keeps what else the day's file
has. The file is ``docs/benchmarks/DATE.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import _command

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "benchmarks"
ENDING_S = 60
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
    "hop",
    "stall",
    "histories",
    "kills",
    "orphans",
)


def scripts(data: Path | None) -> Iterator[tuple[str, list[str]]]:
    for name in WITHOUT:
        yield name, []
    if data:
        for name in WITH_DATA:
            yield name, ["--data", str(data)]


def measure(name: str, options: list[str]) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
        run_to_its_end([*command, "--json", out.name])
        return json.loads(Path(out.name).read_text())


def run_to_its_end(command: list[str]) -> None:
    """Run a script. Ctrl-C reaches it too: wait until it has ended what it started."""
    with subprocess.Popen(command) as script:
        try:
            code = script.wait()
        except KeyboardInterrupt:
            script.wait(timeout=ENDING_S)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def evaluate(data: Path) -> Any:
    """Judge the rankings of every set: as shipped, one stage off, and the baselines."""
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


def measurements(data: Path | None) -> dict[str, Callable[[], Any]]:
    """List what there is to measure with this data, by name, in order."""
    found: dict[str, Callable[[], Any]] = {
        name: partial(measure, name, options) for name, options in scripts(data)
    }
    if data and (data / "retrieval").is_dir():
        found["retrieval"] = partial(evaluate, data)
    return found


def chosen(known: Mapping[str, Callable[[], Any]], only: Sequence[str]) -> list[str]:
    """Return the names to measure: those in ``only``, or all."""
    if without_data := sorted({*WITH_DATA, "retrieval"} & set(only) - set(known)):
        sys.exit(f"{', '.join(without_data)}: name the folder of the data sets by DATA=FOLDER.")
    if unknown := sorted(set(only) - set(known)):
        there = ", ".join(known)
        sys.exit(f"{', '.join(unknown)}: nothing is measured by that name. There is: {there}.")
    return [name for name in known if not only or name in only]


def read_commit() -> str | None:
    told = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def timed(run: Callable[[], Any], commit: str | None) -> dict[str, Any]:
    started = time.monotonic()
    result = run()
    minutes = round((time.monotonic() - started) / 60, 1)
    return {"commit": commit, "minutes": minutes, "result": result}


def data_folder() -> Path | None:
    """Find the folder of the data sets; None where the environment names none."""
    if not (named := os.environ.get("DATA")):
        return None
    if not (folder := Path(named)).is_dir():
        sys.exit(f"DATA: there is no folder {named}.")
    return folder


def main() -> None:
    """Measure one after another. Each result is written at once; a failure ends only itself."""
    argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    data = data_folder()
    known = measurements(data)
    names = chosen(known, os.environ.get("ONLY", "").replace(",", " ").split())
    if data is None:
        print("Left out, for DATA names no folder:", ", ".join((*WITH_DATA, "retrieval")))
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    results |= {"command": "make bench", "python": platform.python_version()}
    results |= {"cpus": os.cpu_count()}
    commit, failed = read_commit(), list[str]()
    for number, name in enumerate(names, start=1):
        print(f"\n== {name} ({number} of {len(names)})", flush=True)
        try:
            results[name] = timed(known[name], commit)
        except subprocess.CalledProcessError as error:
            print(f"{name} failed with exit code {error.returncode}", file=sys.stderr, flush=True)
            failed.append(name)
        else:
            file.write_text(json.dumps(results, indent=1) + "\n")
    if len(failed) < len(names):
        print(f"\nWritten to {file.relative_to(ROOT)}")
    if failed:
        sys.exit(f"Not measured, for they failed: {', '.join(failed)}")


if __name__ == "__main__":
    _command.run(main)
