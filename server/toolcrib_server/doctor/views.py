"""Examines views: what they name that is not there any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import anyio.to_thread

from toolcrib_registry.types import View
from toolcrib_server.runtime import Runtime

from .check import Check

_SHOWN_PROBLEMS: Final = 3


async def iterate_views(runtime: Runtime) -> AsyncIterator[View]:
    """Give every view."""
    for view in await anyio.to_thread.run_sync(lambda: list(runtime.store.views.iterate())):
        yield view


async def examine_view(runtime: Runtime, view: View) -> Check:
    """Say what of a view does not hold any more."""
    resolved = await runtime.view_desk.resolve(view)
    count = len(resolved.tools)
    detail = f"{count} tool{'' if count == 1 else 's'}"
    if not resolved.problems:
        return Check(f"view {view.name}", detail)
    more = len(resolved.problems) - _SHOWN_PROBLEMS
    rest = f" And {more} more: toolcrib view show {view.name}." if more > 0 else ""
    said = " ".join(resolved.problems[:_SHOWN_PROBLEMS])
    advice = f"Change it with toolcrib view edit {view.name}, or mend what it names."
    return Check(f"view {view.name}", f"{detail}. {said}{rest}", ok=False, advice=advice)
