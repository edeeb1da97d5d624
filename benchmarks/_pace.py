"""Work that arrives when it arrives, however long the answers take: the load of the world outside.

A client that waits for an answer before it asks again hides every pause of a server: while it
pauses, nobody asks. Here the times of arrival are drawn beforehand, and latency counts from them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio

_COARSE_S = 0.001


def arrivals(rate: float, seconds: float, *, seed: int) -> Iterator[float]:
    """Draw times of arrival, in seconds from the start: a Poisson process of ``rate`` a second."""
    draw = random.Random(seed)
    at = draw.expovariate(rate)
    while at < seconds:
        yield at
        at += draw.expovariate(rate)


async def play(
    times: Iterator[float],
    work: Callable[[int, float], Coroutine[Any, Any, None]],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Start ``work(number, due)`` when it is due, by ``clock``; wait for the last of it."""
    started = clock()
    async with anyio.create_task_group() as tasks:
        for number, at in enumerate(times):
            due = started + at
            if (ahead := due - clock()) > _COARSE_S:
                await anyio.sleep(ahead)
            tasks.start_soon(work, number, due)
