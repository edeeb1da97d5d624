"""Random kills of server, client and gateway, and who is left five seconds after the end.

Real ``toolcrib serve`` and ``toolcrib stdio`` processes with real stdio servers, one of which is
as stubborn as the system allows; both have families that detach themselves. Exits with 1 when
anybody was left, or when a gateway that was not killed did not answer any more.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import _command
from _proof import orphans

RUNS = 200
CACHE = Path(__file__).parent.parent / ".cache"


def measure(runs: int, *, seed: int, jobs: int) -> orphans.Count:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        print(f"\r{done} of {runs} runs", end="", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        campaign = orphans.Campaign(Path(folder), CACHE)
        return campaign.run([*orphans.plan(runs, seed=seed)], jobs=jobs, on_run=count)


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    args = parser.parse_args()
    started = time.monotonic()
    count = measure(args.runs, seed=args.seed, jobs=args.jobs)
    print()
    for kind, killed in sorted(count.killed.items()):
        print(f"{kind:16}{killed:>5} killed")
    for fault in (*count.orphans, *count.unhealed):
        print(f"\n{fault}")
    seconds = time.monotonic() - started
    print(
        f"\n{count.runs} runs: {len(count.orphans)} orphans, {len(count.unhealed)} unhealed; the "
        f"last of a family was gone {count.longest_s:.1f} s after the kill at the latest; "
        f"{seconds:.0f} s"
    )
    figures = {
        "runs": count.runs,
        "killed": dict(count.killed),
        "orphans": count.orphans,
        "unhealed": count.unhealed,
        "longest_s": round(count.longest_s, 2),
        "seconds": round(seconds, 1),
    }
    _command.write(figures, args.json)
    sys.exit(bool(count.orphans or count.unhealed))


if __name__ == "__main__":
    _command.run(main)
