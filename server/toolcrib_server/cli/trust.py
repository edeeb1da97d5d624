"""Trusting what changed, or not: ``approve``, ``scan``, ``policy``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
import typer

from toolcrib_registry.errors import EntryChanged, EntryGone, InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    Change,
    ChangePolicy,
    JsonObject,
    OwnedEntry,
    Server,
    ServerName,
    Trust,
)
from toolcrib_server.runtime import Runtime
from toolcrib_server.scan import Severity
from toolcrib_server.sync.edits import list_edits
from toolcrib_server.sync.trust import marks_of_likeness
from toolcrib_server.sync.trust_scan import Scanned, ScanReport, find_pinned, scan_registry

from .changes import edit_lines
from .marks import print_marks, say_trust
from .options import AsJson
from .output import Style, print_json, print_line, print_note, print_styled, print_table, progress
from .running import ACTOR, EXIT_FAILED, run


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry that waits for approval, and what it said when it was last trusted."""

    entry: OwnedEntry
    pinned: JsonObject | None


def approve(
    names: Annotated[list[str] | None, typer.Argument(help="Entries; none lists them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything marked or quarantined.")] = False,
    server: Annotated[str | None, typer.Option(help="Of --all, what this server owns.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trust entries as they stand, after showing what changed since they were last trusted.

    Without a name, list what is marked or quarantined. Approving clears the marks and pins what an
    entry says now; `toolcrib disable` takes it back. What changes while you read is not approved.
    """
    if server and not every:
        raise InvalidInput("--server goes with --all.")
    if names and every:
        raise InvalidInput("Give names or --all, not both.")
    if not names and not every:
        run(lambda runtime: _list_waiting(runtime.store, as_json=as_json))
        return
    if not yes and (as_json or not sys.stdin.isatty()):
        raise InvalidInput(
            "Nobody can be asked here. Look with `toolcrib approve` and "
            "`toolcrib changes --entry NAME`, then add --yes."
        )
    run(lambda runtime: _approve(runtime, names or (), server, yes=yes, as_json=as_json))


async def _list_waiting(store: Store, *, as_json: bool) -> None:
    found = _marked(store, None)
    if as_json:
        print_json([_waiting_view(entry) for entry in found])
        return
    rows = [(entry.name, entry.server, say_trust(entry)) for entry in found]
    print_table(("name", "server", "trust"), rows, empty="Nothing waits for approval.")


async def _approve(
    runtime: Runtime, names: Sequence[str], server: str | None, *, yes: bool, as_json: bool
) -> None:
    store = runtime.store
    waiting = [
        _Waiting(entry, find_pinned(store, entry)) for entry in _chosen(store, names, server)
    ]
    approved: list[Change] = []
    stale = 0
    for one in waiting:
        if not as_json:
            _print_waiting(one)
        if yes or typer.confirm(f"Trust {one.entry.name} as it stands?", err=True):
            stale += not _approve_as_shown(store, one.entry, approved)
    await runtime.indexer.catch_up()
    if as_json:
        views = [_waiting_view(one.entry) for one in waiting]
        print_json({"changed": bool(approved), "approved": approved, "were": views})
    elif waiting:
        print_line(f"{len(approved)} of {len(waiting)} approved.")
    else:
        print_line("Nothing waits for approval.")
    if stale:
        raise typer.Exit(EXIT_FAILED)


def _approve_as_shown(store: Store, entry: OwnedEntry, approved: list[Change]) -> bool:
    """Approve what was shown, and nothing that has taken its place while somebody read it."""
    try:
        change = store.approve(entry.kind, entry.name, actor=ACTOR, seen=entry.revision)
    except (EntryChanged, EntryGone) as error:
        print_note(f"Not approved: {error.detail}")
        return False
    approved += [change] if change else []
    return True


def _chosen(store: Store, names: Sequence[str], server: str | None) -> list[OwnedEntry]:
    if not names:
        return _marked(store, store.get_server(ServerName(server)).name if server else None)
    chosen: list[OwnedEntry] = []
    for name in dict.fromkeys(names):
        entry = store.get_named(name)
        if not isinstance(entry, OwnedEntry):
            raise InvalidInput(f"{name} is a model: only what servers list is approved.")
        if entry.trust is Trust.TRUSTED and entry.content_hash == entry.pinned_hash:
            print_note(f"{name} is trusted as it stands already.")
        else:
            chosen.append(entry)
    return chosen


def _marked(store: Store, server: ServerName | None) -> list[OwnedEntry]:
    return [
        entry
        for entry in store.iter_entries()
        if isinstance(entry, OwnedEntry)
        and entry.trust is not Trust.TRUSTED
        and server in {None, entry.server}
    ]


def _print_waiting(one: _Waiting) -> None:
    entry = one.entry
    print_styled((entry.name, Style.STRONG), (f"  {entry.trust}, of {entry.server}", Style.FAINT))
    print_marks(entry.marks)
    if one.pinned is None:
        print_line("  What it said when it was last trusted is not in the log; `toolcrib show` it.")
        return
    lines = list(edit_lines(list_edits(one.pinned, entry.definition)))
    for line in lines:
        print_styled(("    ", Style.PLAIN), *line)
    if not lines:
        print_line(f"  It never said anything else. Read it: toolcrib show {entry.name}")


def _waiting_view(entry: OwnedEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "server": entry.server,
        "trust": entry.trust,
        "marks": entry.marks,
    }


def scan(
    names: Annotated[list[str] | None, typer.Argument(help="Entries; all when none.")] = None,
    server: Annotated[str | None, typer.Option(help="Only what this server owns.")] = None,
    as_json: AsJson = False,
) -> None:
    """Scan what the registry holds for injected orders, hidden text and look-alike names.

    What is found is marked, and quarantined where the server's policy is to quarantine. What was
    approved as it stands is reported and left alone. Ends with 1 when something wants a look.
    """
    if names and server:
        raise InvalidInput("Give names or --server, not both.")

    async def work(runtime: Runtime) -> ScanReport:
        with progress("Scanning", quiet=as_json) as bar:
            scan_all = partial(
                scan_registry,
                runtime.store,
                runtime.review,
                names=names or (),
                server=ServerName(server) if server else None,
                actor=ACTOR,
                on_progress=bar,
            )
            report = await anyio.to_thread.run_sync(scan_all)
        if report.changes:
            await runtime.indexer.catch_up()
        return report

    report = run(work)
    _print_report(report, as_json=as_json)
    if report.suspects:
        raise typer.Exit(EXIT_FAILED)


def _print_report(report: ScanReport, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "changed": bool(report.changes),
                "scanned": report.scanned,
                "suspects": report.suspects,
                "quarantined": report.quarantined,
                "duplicates": report.twins,
                "found": [_scanned_view(one) for one in report.found],
            }
        )
        return
    rows = [row for one in report.found for row in _rows(one)]
    columns = ("name", "severity", "rule", "where", "what")
    print_table(columns, rows, empty="Nothing was found.")
    more = f" {report.quarantined} quarantined." if report.quarantined else ""
    twins = f" {report.twins} say what another server's tool says as well." if report.twins else ""
    print_note(f"{report.scanned} scanned, {report.suspects} want a look.{more}{twins}")


def _rows(one: Scanned) -> list[tuple[object, ...]]:
    known = " (approved)" if one.approved else ""
    rows: list[tuple[object, ...]] = [
        (one.name, f"{f.severity}{known}", f.rule, f.where, f.excerpt) for f in one.findings
    ]
    if one.resemblance is not None:
        said = marks_of_likeness(one.resemblance)[0].detail
        rows.append(
            (one.name, f"{Severity.MEDIUM}{known}", one.resemblance.likeness, "/name", said)
        )
    return rows


def _scanned_view(one: Scanned) -> dict[str, Any]:
    return {
        "name": one.name,
        "server": one.server,
        "approved": one.approved,
        "suspect": one.is_suspect,
        "findings": one.findings,
        "resembles": one.resemblance,
    }


def policy(
    name: Annotated[str, typer.Argument(help="A server.")],
    on_change: Annotated[
        ChangePolicy | None, typer.Argument(help="apply, mark or quarantine; shown when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or set what a change at a server does to its entries.

    It holds for what changes from now on.
    """

    async def work(runtime: Runtime) -> Server:
        server = runtime.store.get_server(ServerName(name))
        if on_change is None or on_change is server.on_change:
            return server
        changed = replace(server, on_change=on_change)
        return await runtime.registrar.update_server(changed, actor=ACTOR)

    server = run(work)
    if as_json:
        print_json({"server": server.name, "onChange": server.on_change})
    else:
        print_line(f"{server.name}: {server.on_change}")
