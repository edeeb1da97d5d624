"""How whoever owns a task group leaves it: at once, and without changing what went wrong."""

from __future__ import annotations

from types import TracebackType

from anyio.abc import TaskGroup


async def leave(
    tasks: TaskGroup,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> bool | None:
    """Cancel what still runs and wait until it has ended; for an ``__aexit__``.

    An exception of the block that was left is not the group's: it goes through as it is, in no
    `ExceptionGroup`.
    """
    tasks.cancel_scope.cancel()
    if isinstance(error, Exception):
        await tasks.__aexit__(None, None, None)
        return None
    return await tasks.__aexit__(kind, error, trace)
