"""Examines servers: which could not be reached, and what they said last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from toolcrib_registry.types import Server, ServerStatus
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.freshness import say_age
from toolcrib_server.upstream.processes.stderr_log import StderrLogs

from .check import Check

_STDERR_SHOWN: Final = 3


def examine_servers(runtime: Runtime) -> Iterator[Check]:
    """Say how each server that can be called stands, by its last sync."""
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
