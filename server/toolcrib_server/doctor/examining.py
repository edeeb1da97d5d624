"""Goes through all there is, from the data folder to the last server; mends what can be mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.runtime import Runtime, read_version

from .check import Check, Repair
from .database import examine_leases, examine_store
from .files import examine_files
from .index import examine_index, snapshot_check, snapshot_fault
from .learning import examine_learning, examine_writing
from .servers import examine_servers
from .views import examine_view, iterate_views

_INDEX_FOLDER: Final = "index"


async def examine(runtime: Runtime) -> tuple[Check, ...]:
    """Examine everything. Servers are not called: their last sync tells."""
    folder = runtime.settings.data_dir / _INDEX_FOLDER
    snapshot = await anyio.to_thread.run_sync(snapshot_fault, folder)
    checks = [Check("version", read_version())]
    checks += await anyio.to_thread.run_sync(examine_files, runtime.settings)
    checks.append(await anyio.to_thread.run_sync(examine_store, runtime))
    checks += await anyio.to_thread.run_sync(lambda: list(examine_leases(runtime)))
    if snapshot:
        checks.append(snapshot_check(runtime, folder, snapshot))
    checks += await examine_index(runtime)
    checks.append(await examine_learning(runtime))
    checks.append(await examine_writing(runtime))
    checks += await anyio.to_thread.run_sync(lambda: list(examine_servers(runtime)))
    checks += [await examine_view(runtime, view) async for view in iterate_views(runtime)]
    return tuple(checks)


async def repair(checks: Sequence[Check]) -> tuple[Repair, ...]:
    """Mend what can be mended, and say what was done; one failure stops no other."""
    done: list[Repair] = []
    for check in checks:
        if check.mend is None:
            continue
        try:
            done.append(Repair(check.name, await check.mend()))
        except (ToolcribError, OSError) as error:
            done.append(Repair(check.name, f"could not be mended: {error}", ok=False))
    return tuple(done)
