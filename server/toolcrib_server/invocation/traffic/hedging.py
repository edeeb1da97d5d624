"""A second try beside a slow one: whichever answers first is the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

Attempt = Callable[[], Awaitable[dict[str, Any]]]


async def race(first: Attempt, second: Attempt, *, after_s: float) -> dict[str, Any]:
    """Run ``second`` beside ``first`` if that has not ended by then; the other is cancelled.

    Where both fail, the first one's error is raised: it is what would have come of it alone.
    """
    answers: list[dict[str, Any]] = []
    errors: dict[int, Exception] = {}
    started = {1}

    async with anyio.create_task_group() as tasks:
        ended = anyio.Event()

        async def run(number: int, attempt: Attempt) -> None:
            try:
                answers.append(await attempt())
            except Exception as error:  # noqa: BLE001  # top of a task; raised below
                errors[number] = error
            if answers or len(errors) == len(started):
                ended.set()
                tasks.cancel_scope.cancel()

        tasks.start_soon(run, 1, first)
        with anyio.move_on_after(after_s):
            await ended.wait()
        if not ended.is_set():
            started.add(2)
            tasks.start_soon(run, 2, second)
    if answers:
        return answers[0]
    raise errors[min(errors)]
