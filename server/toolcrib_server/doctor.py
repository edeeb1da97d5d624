"""Examines what a running Toolcrib stands on: files, database, encoder, index, servers.

Looks only; what can repair itself (the index) does so when it is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread

from toolcrib_registry.errors import ToolcribError
from toolcrib_registry.types import Entry, Server, ServerStatus

from .runtime import Runtime, read_version
from .settings import Settings
from .upstream.secrets import SecretStore


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined: what was seen, and, if it is not well, what to do about it."""

    name: str
    detail: str
    ok: bool = True
    advice: str = ""


async def examine(runtime: Runtime) -> tuple[Check, ...]:
    """Examine everything. Servers are not called: their last sync tells."""
    checks = [Check("version", read_version())]
    checks += await anyio.to_thread.run_sync(_examine_files, runtime.settings)
    checks.append(await anyio.to_thread.run_sync(_examine_store, runtime))
    checks += await _examine_index(runtime)
    checks.append(await _examine_learning(runtime))
    checks += await anyio.to_thread.run_sync(lambda: list(_examine_servers(runtime)))
    return tuple(checks)


def _examine_files(settings: Settings) -> list[Check]:
    folder = settings.data_dir
    writable = os.access(folder, os.W_OK)
    checks = [
        Check(
            "data folder",
            str(folder),
            ok=writable,
            advice="" if writable else "It cannot be written: set TOOLCRIB_DATA_DIR.",
        )
    ]
    secrets = folder / "secrets.json"
    if secrets.exists():
        checks.append(_examine_secrets(secrets))
    return checks


def _examine_secrets(path: Path) -> Check:
    try:
        SecretStore(path).list_keys()
    except ToolcribError as error:
        again = "Mend or remove it, then register the servers that need secrets again."
        return Check("secrets file", error.detail, ok=False, advice=again)
    mode = stat.S_IMODE(path.stat().st_mode)
    private = not mode & 0o077
    advice = "" if private else f"Others can read it: chmod 600 {path}"
    return Check("secrets file", f"{path} ({mode:o})", ok=private, advice=advice)


def _examine_store(runtime: Runtime) -> Check:
    counts = runtime.store.counts()
    held = ", ".join(f"{n} {kind}s" for kind, n in sorted(counts.entries.items())) or "no entries"
    detail = f"revision {counts.head}: {counts.servers} servers, {held}"
    return Check("registry", detail)


async def _examine_index(runtime: Runtime) -> list[Check]:
    try:
        report = await runtime.indexer.catch_up()
        index = await runtime.indexer.index()
    except ToolcribError as error:
        advice = "Search cannot work until this is mended."
        return [Check("index", error.detail, ok=False, advice=advice)]
    detail = f"{index.size} entries at revision {index.revision}"
    if report.rebuilt:
        detail += f", rebuilt just now: {report.rebuilt}"
    count = partial(_count, runtime.store.iter_entries(live=True))
    live = await anyio.to_thread.run_sync(count)
    whole = index.size == live
    advice = "" if whole else f"The registry has {live} live entries; delete the index folder."
    return [
        Check("encoder", f"{index.encoder.id}, {index.encoder.dimension} dimensions"),
        Check("index", detail, ok=whole, advice=advice),
    ]


async def _examine_learning(runtime: Runtime) -> Check:
    try:
        states = await runtime.feedback.states()
    except ToolcribError as error:
        return Check("learning", error.detail, ok=False)
    outcomes = sum(state.outcomes for state in states)
    used = sum(state.in_use is not None for state in states)
    detail = f"{runtime.feedback.mode}: {outcomes} outcomes of {len(states)} tenants"
    return Check("learning", f"{detail}, in use for {used}" if states else detail)


def _count(entries: Iterator[Entry]) -> int:
    return sum(1 for _ in entries)


def _examine_servers(runtime: Runtime) -> Iterator[Check]:
    # Thousands of imported catalogues would bury what matters.
    return (_examine_server(each) for each in runtime.store.iter_servers() if each.callable)


def _examine_server(server: Server) -> Check:
    health = server.health
    name = f"server {server.name}"
    if not server.enabled:
        return Check(name, "disabled")
    if health.status is ServerStatus.UNREACHABLE:
        again = f"Mend the cause, then `toolcrib sync {server.name}`."
        return Check(name, health.error or "unreachable", ok=False, advice=again)
    detail = f"{health.status}, protocol {health.protocol_version or 'unknown'}"
    if health.quarantined:
        aside = "; ".join(f"{q.name}: {q.reason}" for q in health.quarantined[:3])
        detail = f"{detail}, {len(health.quarantined)} set aside"
        return Check(name, detail, ok=False, advice=aside)
    return Check(name, detail)
