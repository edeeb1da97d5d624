"""What goes on while it runs: syncing, learning, warming, writing down."""

from __future__ import annotations

import gc
import logging
from functools import partial

import anyio.to_thread

from toolcrib_registry.types import ChangePolicy, ServerName
from toolcrib_server.presence import be_present
from toolcrib_server.prewarming import prewarm
from toolcrib_server.sdk import load_sdk

from .parts import Runtime

logger = logging.getLogger(__name__)


async def run_background(runtime: Runtime, only: ServerName | None = None) -> None:
    """Warm the index, follow the log, sync and write audit records. Never returns.

    With ``only`` that server is started and synced, and no other.
    """
    if only is not None:
        runtime.watcher.keep_to({only})
    # Before anything else: whoever asks before the first look waits for it.
    for learner in (runtime.learner, runtime.companions, runtime.routing.learner):
        learner.expect()
    await register_config(runtime)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_warm, runtime)
        tasks.start_soon(runtime.indexer.follow)
        tasks.start_soon(runtime.guard.run)
        tasks.start_soon(runtime.audit.run)
        tasks.start_soon(runtime.outcomes.run)
        tasks.start_soon(runtime.learner.run)
        tasks.start_soon(runtime.companions.run)
        tasks.start_soon(runtime.routing.learner.run)
        tasks.start_soon(runtime.desk.feed.run)
        tasks.start_soon(runtime.watcher.run)
        tasks.start_soon(runtime.writing.questions.run)
        if only is None:
            tasks.start_soon(be_present, runtime.settings.data_dir)
            tasks.start_soon(prewarm, runtime.store, runtime.pool, runtime.settings.prewarm)


async def _warm(runtime: Runtime) -> None:
    try:
        await runtime.indexer.catch_up()
        await runtime.selector.warm()
        await anyio.to_thread.run_sync(load_sdk)
    except Exception as error:  # noqa: BLE001  # top of a task; the first search says it again
        logger.error("The index could not be opened: %s", error)
    # What was built until now stays, and a full collection need not look at it: on the event loop
    # that took 0.2 s each time, for every call under way.
    gc.collect()
    gc.freeze()


async def register_config(runtime: Runtime) -> None:
    """Register the configured file's servers that are not registered yet, and update the others."""
    # Only a configured file needs it.
    from toolcrib_server.upstream.config.mcp_servers import load_servers  # noqa: PLC0415

    path = runtime.settings.config
    if path is None:
        return
    on_change = ChangePolicy(runtime.settings.on_change)
    load = partial(load_servers, path, on_change=on_change)
    parsed = await anyio.to_thread.run_sync(load)
    for warning in parsed.warnings:
        logger.warning("%s", warning)
    for server in parsed.servers:
        known = await anyio.to_thread.run_sync(runtime.store.find_server, server.name)
        if known:
            await runtime.registrar.update_server(server, actor=server.origin)
        else:
            await runtime.registrar.add_server(server, actor=server.origin)
