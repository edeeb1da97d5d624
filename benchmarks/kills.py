"""SIGKILL at every named point of a sync and at random times: what is left must converge.

Real ``toolcrib`` processes against a real HTTP upstream. Each run begins with the same data folder,
is killed, is run once more, and must leave what a run leaves that nobody killed: entries, vectors,
index and change log, in a database that SQLite calls intact. Exits with 1 when any run diverged.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import _command
from _proof import killing, live

from toolcrib_embeddings import SentenceTransformerEncoder
from toolcrib_server.sync.checkpoints import POINTS

RUNS = 200
CACHE = Path(__file__).parent.parent / ".cache"


def measure(runs: int, *, seed: int, jobs: int) -> killing.Kills:
    encoder = SentenceTransformerEncoder.open(CACHE / "encoders")
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        print(f"\r{done} of {runs} runs", end="", flush=True)

    with tempfile.TemporaryDirectory() as folder, live.LiveUpstream() as upstream:
        campaign = killing.Campaign(Path(folder), CACHE, upstream, encoder)
        planned = killing.plan(POINTS, runs, seed=seed)
        return campaign.run(planned, jobs=jobs, on_run=count)


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    args = parser.parse_args()
    kills = measure(args.runs, seed=args.seed, jobs=args.jobs)
    print()
    for point in (*POINTS, killing.RANDOM):
        print(f"{point:16}{kills.killed[point]:>5} killed")
    for fault in kills.diverged:
        print(f"\n{fault}")
    print(
        f"\n{kills.runs} runs, {sum(kills.killed.values())} killed, {kills.outran} were done before"
        f" they could be: {len(kills.diverged)} diverged, in {kills.seconds:.0f} s"
    )
    figures = {
        "runs": kills.runs,
        "killed": dict(kills.killed),
        "outran": kills.outran,
        "diverged": kills.diverged,
        "seconds": round(kills.seconds, 1),
    }
    _command.write(figures, args.json)
    sys.exit(bool(kills.diverged))


if __name__ == "__main__":
    _command.run(main)
