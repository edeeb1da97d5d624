"""Random histories of syncs, crashes, two workers and changes, each held against a model.

Whatever the upstream servers do, and wherever a worker dies, catalogue, search index, vectors and
change log must agree after every step. A history is told by its seed; one that fails is shortened
to the fewest steps that still fail. Exits with 1 when any history diverged.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import _command
import anyio

HISTORIES = 10_000
_BATCH = 50


def play(first: int, count: int, *, folder: Path | None) -> dict[str, Any]:
    """Play the histories of so many seeds; all of them, though some may fail."""
    from _proof import campaign, houses  # noqa: PLC0415  # in the process that plays

    async def run() -> Any:
        with (
            tempfile.TemporaryDirectory(dir=folder) as place,
            houses.sqlite_houses(Path(place)) as reset,
        ):
            return await campaign.run(reset, range(first, first + count), most_found=3)

    # Encoders that are made to fail are told of, thousands of times.
    logging.disable()
    tally = anyio.run(run)
    return {
        "histories": tally.histories,
        "steps": tally.seen.steps,
        "checks": tally.seen.checks,
        "deaths": tally.seen.deaths,
        "takeovers": tally.seen.takeovers,
        "divergences": [str(found) for found in tally.found],
        "busy_s": tally.seconds,
    }


def measure(histories: int, *, seed: int, jobs: int, folder: Path | None) -> dict[str, Any]:
    """Play them in batches, so many at a time."""
    started = time.monotonic()
    starts = range(seed, seed + histories, _BATCH)
    counts = [min(_BATCH, seed + histories - start) for start in starts]
    total: dict[str, Any] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done in pool.map(partial(play, folder=folder), starts, counts):
            total = {key: total[key] + done[key] for key in done} if total else done
            seconds = time.monotonic() - started
            found = len(total["divergences"])
            print(
                f"{total['histories']:>7} histories, {found} diverged, {seconds:.0f} s", flush=True
            )
    return {**total, "seconds": round(time.monotonic() - started, 1), "jobs": jobs}


def in_memory() -> Path | None:
    """Find a folder that is memory, where there is one: what is measured is not the disk."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes that play (default 2)")
    args = parser.parse_args()
    figures = measure(args.histories, seed=args.seed, jobs=args.jobs, folder=in_memory())
    for divergence in figures["divergences"]:
        print(f"\n{divergence}")
    print(
        f"\n{figures['histories']} histories, {figures['steps']} steps, {figures['checks']} looks,"
        f" {figures['deaths']} deaths, {figures['takeovers']} takeovers:"
        f" {len(figures['divergences'])} divergences in {figures['seconds']:.0f} s"
    )
    _command.write(figures, args.json)
    sys.exit(bool(figures["divergences"]))


if __name__ == "__main__":
    _command.run(main)
