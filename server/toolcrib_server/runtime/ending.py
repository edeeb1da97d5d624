"""Ends things: the parts of a runtime that is left, or the whole process at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable
from typing import Final, Never

import anyio

from toolcrib_registry.errors import StoreError

from .parts import Runtime

logger = logging.getLogger(__name__)

_RECORDS_S: Final = 10.0
_SNAPSHOT_S: Final = 1.0
"""What the snapshot of an index may take when the process ends: without it the next start reads an
older one, or makes the index anew of stored vectors."""


async def write_last(runtime: Runtime) -> None:
    """Write what is pending, the snapshot of the index included, however long that takes."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_RECORDS_S):
        await _write_records(runtime)
        await _see_saved(runtime.indexer.save())


async def end_process(runtime: Runtime, code: int) -> Never:
    """Write what is pending, end every child, then this process, whatever its threads are at.

    One that encodes texts or builds the index cannot be woken, and the ordinary way out would wait
    for it. Nothing is lost: what is committed is in the database, the rest is made of that again.
    """
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(_RECORDS_S):
            await _write_records(runtime)
            await runtime.reconciler.let_go()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_see_saved, runtime.indexer.save_in_time(_SNAPSHOT_S))
            tasks.start_soon(runtime.links.local.aclose_all)
            for state in runtime.pool.states():
                tasks.start_soon(runtime.pool.aclose_server, state.server)
    os._exit(code)


async def _write_records(runtime: Runtime) -> None:
    await runtime.audit.flush()
    await runtime.outcomes.flush()


async def _see_saved(saving: Awaitable[object]) -> None:
    try:
        await saving
    except (OSError, StoreError) as error:
        logger.warning("The index snapshot could not be saved: %s", error)
