"""Examines what a Toolcrib stands on: files, database, encoder, index, servers; mends what it can.

Looking changes nothing but what mends itself when it is opened: the index follows the log.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import Lease, Server, ServerStatus, View

from .runtime import Runtime, read_version
from .selection.freshness import say_age
from .settings import Settings
from .sync.health import IndexHealth
from .sync.leases import name_this_process
from .upstream.secrets import SecretStore
from .upstream.stderr_log import StderrLogs

if TYPE_CHECKING:
    from toolcrib_embeddings import SearchIndex

Mend = Callable[[], Awaitable[str]]
"""Mends one thing, and says what it did."""

_PRIVATE_FILE: Final = 0o600
_OTHERS_WRITE: Final = 0o022
_OTHERS: Final = 0o077
_INDEX_FOLDER: Final = "index"
_STDERR_SHOWN: Final = 3
_SHOWN_PROBLEMS: Final = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined: what was seen, and, if it is not well, what to do about it."""

    name: str
    detail: str
    ok: bool = True
    advice: str = ""
    mend: Mend | None = field(default=None, repr=False, compare=False)
    """What `doctor --repair` does about it; None when there is nothing it could do."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about one thing."""

    name: str
    did: str
    ok: bool = True


async def examine(runtime: Runtime) -> tuple[Check, ...]:
    """Examine everything. Servers are not called: their last sync tells."""
    folder = runtime.settings.data_dir / _INDEX_FOLDER
    snapshot = await anyio.to_thread.run_sync(_snapshot_fault, folder)
    checks = [Check("version", read_version())]
    checks += await anyio.to_thread.run_sync(_examine_files, runtime.settings)
    checks.append(await anyio.to_thread.run_sync(_examine_store, runtime))
    checks += await anyio.to_thread.run_sync(lambda: list(_examine_leases(runtime)))
    if snapshot:
        checks.append(_snapshot_check(runtime, folder, snapshot))
    checks += await _examine_index(runtime)
    checks.append(await _examine_learning(runtime))
    checks.append(await _examine_writing(runtime))
    checks += await anyio.to_thread.run_sync(lambda: list(_examine_servers(runtime)))
    checks += [await _examine_view(runtime, view) async for view in _views(runtime)]
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


# --- views ---------------------------------------------------------------------------------------


async def _views(runtime: Runtime) -> AsyncIterator[View]:
    for view in await anyio.to_thread.run_sync(lambda: list(runtime.store.views.iterate())):
        yield view


async def _examine_view(runtime: Runtime, view: View) -> Check:
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


# --- files ---------------------------------------------------------------------------------------


def _examine_files(settings: Settings) -> list[Check]:
    folder = settings.data_dir
    checks = [_examine_folder(folder)]
    secrets = folder / "secrets.json"
    if secrets.exists():
        checks.append(_examine_secrets(secrets))
    return checks


def _examine_folder(folder: Path) -> Check:
    name, mode = "data folder", stat.S_IMODE(folder.stat().st_mode)
    if not os.access(folder, os.W_OK):
        advice = "It cannot be written: set TOOLCRIB_DATA_DIR."
        return Check(name, str(folder), ok=False, advice=advice)
    if mode & _OTHERS_WRITE:
        private = mode & ~_OTHERS_WRITE
        advice = f"Others can write it: chmod {private:o} {folder}, or doctor --repair."
        mend = partial(_set_mode, folder, private)
        return Check(name, f"{folder} ({mode:o})", ok=False, advice=advice, mend=mend)
    return Check(name, str(folder))


def _examine_secrets(path: Path) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    detail = f"{path} ({mode:o})"
    # Before it is read: whoever reads secrets closes the file first.
    if mode & _OTHERS:
        advice = f"Others can read it: chmod 600 {path}, or doctor --repair."
        mend = partial(_set_mode, path, _PRIVATE_FILE)
        return Check("secrets file", detail, ok=False, advice=advice, mend=mend)
    try:
        SecretStore(path).list_keys()
    except ToolcribError as error:
        again = "Mend or remove it, then register the servers that need secrets again."
        return Check("secrets file", error.detail, ok=False, advice=again)
    return Check("secrets file", detail)


async def _set_mode(path: Path, mode: int) -> str:
    await anyio.to_thread.run_sync(path.chmod, mode)
    return f"{path} is {mode:o} now"


# --- the database --------------------------------------------------------------------------------


def _examine_store(runtime: Runtime) -> Check:
    counts = runtime.store.counts()
    held = ", ".join(f"{n} {kind}s" for kind, n in sorted(counts.entries.items())) or "no entries"
    detail = f"revision {counts.head}: {counts.servers} servers, {held}"
    return Check("registry", detail)


def _examine_leases(runtime: Runtime) -> Iterator[Check]:
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


# --- the index -----------------------------------------------------------------------------------


def _snapshot_fault(folder: Path) -> str | None:
    """Say what is wrong with the snapshot of the index; a missing one is only not there yet."""
    from toolcrib_embeddings.indexing.snapshots import (  # noqa: PLC0415  # slow
        MANIFEST,
        SnapshotInvalid,
        read_snapshot,
    )

    if not (folder / MANIFEST).exists():
        return None
    try:
        read_snapshot(folder)
    except SnapshotInvalid as invalid:
        return invalid.reason
    return None


def _snapshot_check(runtime: Runtime, folder: Path, fault: str) -> Check:
    return Check(
        "snapshot",
        f"{folder}: {fault}",
        ok=False,
        advice="Search goes on without what is damaged; doctor --repair writes it anew.",
        mend=partial(_save_anew, runtime),
    )


async def _save_anew(runtime: Runtime) -> str:
    index = await runtime.indexer.index()
    left = len(index.untokened)
    # As long as it helps: an encoder may have none to give.
    while left and (still := await runtime.indexer.add_tokens()) < left:
        left = still
    await runtime.indexer.save(anew=True)
    return f"a snapshot of {index.size} entries at revision {index.revision} was written"


async def _examine_index(runtime: Runtime) -> list[Check]:
    try:
        report = await runtime.indexer.catch_up()
        index, health = await runtime.indexer.index(), await runtime.guard.check()
    except ToolcribError as error:
        advice = "Search cannot work until this is mended."
        return [Check("index", error.detail, ok=False, advice=advice)]
    detail = f"{index.size} entries at revision {index.revision}"
    if report.rebuilt:
        detail += f", rebuilt just now: {report.rebuilt}"
    checks = [_encoder_check(index, health), _index_check(runtime, health, detail)]
    if health.lexical_only is None:
        checks += await _examine_vectors(runtime, index)
    return checks


def _encoder_check(index: SearchIndex, health: IndexHealth) -> Check:
    if health.lexical_only:
        advice = "Search goes by words alone until the embedding model can be opened."
        return Check("encoder", health.lexical_only, ok=False, advice=advice)
    return Check("encoder", f"{index.encoder.id}, {index.encoder.dimension} dimensions")


def _index_check(runtime: Runtime, health: IndexHealth, detail: str) -> Check:
    if health.is_whole or (health.lexical_only and len(health.gaps) == len(health.unembedded)):
        return Check("index", detail)
    said = f"{detail}; {health.say()}"
    advice = "A process that serves mends this by itself; doctor --repair does it now."
    return Check("index", said, ok=False, advice=advice, mend=partial(_mend_index, runtime))


async def _mend_index(runtime: Runtime) -> str:
    before = await runtime.guard.check()
    after = await runtime.guard.mend()
    await runtime.indexer.save()
    closed, left = len(before.gaps - after.gaps), after.say()
    return f"{closed} entries were indexed again" + (f"; left: {left}" if left else "")


async def _examine_vectors(runtime: Runtime, index: SearchIndex) -> list[Check]:
    stock = await anyio.to_thread.run_sync(runtime.guard.take_stock, index)
    detail = f"{stock.kept} of {stock.wanted} texts have their vector stored"
    orphans = f"; stored without a text: {stock.orphans}" if stock.orphans else ""
    if stock.kept < stock.wanted:
        advice = "A rebuild would encode them again; doctor --repair does it now."
        mend = partial(_restock, runtime, index)
        return [Check("vectors", detail + orphans, ok=False, advice=advice, mend=mend)]
    mend = partial(_restock, runtime, index) if stock.orphans else None
    return [Check("vectors", detail + orphans, mend=mend)]


async def _restock(runtime: Runtime, index: SearchIndex) -> str:
    done = await anyio.to_thread.run_sync(runtime.guard.restock, index)
    return f"{done.encoded} texts were encoded, {done.pruned} vectors of no use were dropped"


# --- learning and servers ------------------------------------------------------------------------


async def _examine_learning(runtime: Runtime) -> Check:
    try:
        states = await runtime.feedback.states()
    except ToolcribError as error:
        return Check("learning", error.detail, ok=False)
    outcomes = sum(state.outcomes for state in states)
    used = sum(state.in_use is not None for state in states)
    detail = f"{runtime.feedback.mode}: {outcomes} outcomes of {len(states)} tenants"
    return Check("learning", f"{detail}, in use for {used}" if states else detail)


async def _examine_writing(runtime: Runtime) -> Check:
    writer = runtime.writing.questions
    if writer.model is None:
        return Check("writer", "off")
    found = await writer.survey()
    detail = (
        f"{writer.model}: {found.written} of {found.tools} tools have written questions, "
        f"{found.declared} declared ones, {len(found.waiting)} wait"
    )
    try:
        await writer.find()
    except ToolcribError as error:
        advice = "Register it, or name another in TOOLCRIB_WRITER_MODEL. Search works without."
        return Check("writer", f"{detail}. {error.detail}", ok=False, advice=advice)
    return Check("writer", detail)


def _examine_servers(runtime: Runtime) -> Iterator[Check]:
    # Thousands of imported catalogues would bury what matters.
    logs = runtime.stderr_logs
    return (_examine_server(each, logs) for each in runtime.store.iter_servers() if each.callable)


def _examine_server(server: Server, logs: StderrLogs) -> Check:
    health = server.health
    name = f"server {server.name}"
    if not server.enabled:
        return Check(name, "disabled")
    if health.status is ServerStatus.UNREACHABLE:
        again = f"Mend the cause, then `toolcrib sync {server.name}`."
        said = logs.read(server.name, lines=_STDERR_SHOWN)
        if said:
            again += f" It said last (toolcrib logs {server.name}): {' / '.join(said)}"
        return Check(name, _say_unreachable(server), ok=False, advice=again)
    detail = f"{health.status}, protocol {health.protocol_version or 'unknown'}"
    if health.malformed:
        aside = "; ".join(f"{q.name}: {q.reason}" for q in health.malformed[:3])
        detail = f"{detail}, {len(health.malformed)} malformed"
        return Check(name, detail, ok=False, advice=aside)
    return Check(name, detail)


def _say_unreachable(server: Server) -> str:
    health = server.health
    error = health.error or "unreachable"
    if health.synced_at is None:
        return error
    age = say_age(health.synced_at, datetime.now(UTC))
    return f"{error} Its entries are kept, and as old as {age}."
