"""Many callers' requests done together: what comes while one turn runs makes up the next.

A single caller waits for nothing; a thousand at once share a few turns. Knows no store, no index.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Place(Generic[Item, Result]):
    """One caller's place in the queue."""

    __slots__ = ("error", "is_done", "item", "results")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False
        self.results: list[Result] = []
        self.error: Exception | None = None


class Grouped(Generic[Item, Result]):
    """Runs ``work`` over whole groups of requests, one group at a time, in the order they came."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Result]]) -> None:
        """Prepare; ``work`` is given every item of a turn and its result goes to all of them."""
        self._work = work
        self._waiting: deque[_Place[Item, Result]] = deque()
        self._turn = anyio.Lock()

    async def __call__(self, item: Item) -> Result:
        """Have ``item`` done in a turn that begins after this call; raise what that turn raises."""
        place = _Place[Item, Result](item)
        self._waiting.append(place)
        try:
            while not place.is_done:
                async with self._turn:
                    if not place.is_done:
                        await self._take_turn()
        finally:
            if not place.is_done:
                self._waiting.remove(place)
        if place.error is not None:
            raise place.error
        return place.results[0]

    async def _take_turn(self) -> None:
        group = tuple(self._waiting)
        try:
            result = await self._work([place.item for place in group])
        except Exception as error:  # noqa: BLE001  # it is every caller's to raise
            for place in group:
                place.error = error
        else:
            for place in group:
                place.results.append(result)
        # Not reached when the caller whose task this is gave up: the others take a turn again.
        for place in group:
            place.is_done = True
        self._waiting = deque(place for place in self._waiting if not place.is_done)
