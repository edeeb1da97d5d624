"""Many histories: each from its seed, and of one that fails the shortest that fails the same."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .audit import Divergence
from .scenes import Scene
from .story import House, Seen, Step, Story

_WEIGHTS = {
    "add": 12, "edit": 10, "turn_grave": 3, "take_back": 4, "rename": 5, "retire": 6, "empty": 1,
    "bring_back": 2, "come_back_otherwise": 5, "reorder": 2, "malform": 2, "duplicate": 2,
    "sync_one": 14, "sync_all": 8, "sync_both": 3, "sync_late": 7, "sync_dying": 8, "restart": 2,
    "follow": 2, "break_server": 3, "mend_servers": 2, "break_encoder": 1, "mend_encoder": 1,
    "add_server": 2, "remove_server": 1, "switch_server": 2, "set_policy": 3, "switch_entry": 3,
    "approve": 5, "put_model": 1,
}  # fmt: skip
_ALWAYS = frozenset({"add", "edit", "sync_one", "sync_all"})
_KEPT = 0.6
_SHORTEST, _LONGEST = 5, 17

Reset = Callable[[], House]
"""Gives the house with an empty database and empty folders."""


@dataclass(slots=True)
class Found:
    """A history that failed: as short as it could be made."""

    seed: int
    steps: list[Step]
    fault: str
    told: list[str]

    def __str__(self) -> str:
        lines = "\n  ".join(self.told)
        return f"seed {self.seed}: {self.fault}\n  {lines}\n  steps = {self.steps!r}"


@dataclass(slots=True)
class Tally:
    """What a campaign came to."""

    histories: int = 0
    seen: Seen = field(default_factory=Seen)
    found: list[Found] = field(default_factory=list[Found])
    seconds: float = 0.0


def write_history(seed: int) -> list[Step]:
    """Make up a history: one server at least, something on it, and what may follow.

    Each history does without some of the verbs, so that the others come together more often (swarm
    testing, Groce et al., ISSTA 2012).
    """
    rng = random.Random(seed)
    length = rng.randrange(_SHORTEST, _LONGEST)
    known = [verb for verb in _WEIGHTS if verb in _ALWAYS or rng.random() < _KEPT]
    verbs = [
        "add_server",
        "add",
        *(["add_server", "add"] if rng.random() < 0.5 else []),
        "sync_all",
    ]
    verbs += rng.choices(known, weights=[_WEIGHTS[verb] for verb in known], k=length)
    return [(verb, rng.randrange(1_000_000)) for verb in verbs]


async def play(
    house: House, steps: Sequence[Step], seen: Seen, scene: Scene | None = None
) -> tuple[str, list[str]] | None:
    """Play a history; None when all agreed, else the fault and what was done up to it."""
    story = Story(house, seen, scene)
    try:
        await story.play(steps)
    except Divergence as divergence:
        return str(divergence), story.told
    except Exception as error:  # noqa: BLE001  # an error that nobody expects is a finding too
        return f"{type(error).__name__}: {error}", story.told
    return None


async def run(
    reset: Reset, seeds: Sequence[int], *, most_found: int = 1, limit_s: float = float("inf")
) -> Tally:
    """Play the histories of these seeds, until so many have failed or the time is up."""
    tally, started = Tally(), time.monotonic()
    for seed in seeds:
        if len(tally.found) >= most_found or time.monotonic() - started > limit_s:
            break
        steps = write_history(seed)
        failed = await play(reset(), steps, tally.seen)
        tally.histories += 1
        if failed:
            tally.found.append(await shorten(reset, seed, steps, failed))
    tally.seconds = time.monotonic() - started
    return tally


async def shorten(
    reset: Reset, seed: int, steps: list[Step], failed: tuple[str, list[str]]
) -> Found:
    """Leave out steps, half of them first, as long as the history still fails."""
    if await play(reset(), steps, Seen()) is None:
        return Found(seed, steps, f"(not each time: a race) {failed[0]}", failed[1])
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            shorter = steps[:at] + steps[at + size :]
            now = await play(reset(), shorter, Seen())
            if now is None:
                at += size
            else:
                steps, failed = shorter, now
        size //= 2
    fault, told = failed
    return Found(seed, steps, fault, told)
