"""Examines the database, and leases that the dead still hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import anyio.to_thread

from toolcrib_registry.types import Lease
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.leases import name_this_process

from .check import Check


def examine_store(runtime: Runtime) -> Check:
    """Say what the database holds, and where it is."""
    counts = runtime.store.counts()
    held = ", ".join(f"{n} {kind}s" for kind, n in sorted(counts.entries.items())) or "no entries"
    detail = f"revision {counts.head}: {counts.servers} servers, {held}"
    return Check("registry", detail)


def examine_leases(runtime: Runtime) -> Iterator[Check]:
    """Find leases of processes that are gone; they may be released."""
    dead = [lease for lease in runtime.store.list_leases() if _is_of_the_dead(lease)]
    if dead:
        names = ", ".join(lease.server for lease in dead[:5])
        yield Check(
            "leases",
            f"{len(dead)} are held by processes that have ended ({names})",
            ok=False,
            advice="These servers are not synced until the leases run out, or doctor --repair.",
            mend=partial(_release, runtime, dead),
        )


def _is_of_the_dead(lease: Lease) -> bool:
    """Whether the process that holds a lease was of this machine, and has ended."""
    import psutil  # noqa: PLC0415  # only doctor asks

    host, _, rest = lease.holder.rpartition(":")[0].rpartition(":")
    here = name_this_process().rpartition(":")[0].rpartition(":")[0]
    return host == here and rest.isdigit() and not psutil.pid_exists(int(rest))


async def _release(runtime: Runtime, dead: Sequence[Lease]) -> str:
    await anyio.to_thread.run_sync(runtime.store.release_leases, dead)
    return f"{len(dead)} leases were given back"
