"""Bringing the registry in step with its servers, and saying what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from toolcrib_registry.types import ServerName, split_id
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.reconcile import SyncReport

from . import live
from .options import AsJson
from .output import counted, print_json, print_line, print_note, print_table, progress
from .running import ACTOR, EXIT_UPSTREAM, run, run_until_interrupted

_SHOWN_NAMES = 5


def sync(
    names: Annotated[list[str] | None, typer.Argument(help="Servers; all when none.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Sync nothing: show how it stands until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the registry in step with its servers; show what changed.

    With --watch, show each server's state, lag, last error and next attempt, beside the process
    that serves; --json prints a line whenever something happened.
    """
    if watch:
        run_until_interrupted(lambda runtime: live.watch(runtime, names, as_json=as_json))
        return
    wanted = [ServerName(name) for name in names] if names else None
    done: list[SyncReport] = []

    def note(report: SyncReport) -> None:
        done.append(report)
        if not as_json:
            _announce(report)

    def kept() -> str:
        return f"{counted(len(done), 'server')} done, and kept: run it again for the others."

    async def work(runtime: Runtime) -> tuple[SyncReport, ...]:
        with progress("Embedding", quiet=as_json) as bar:
            return await runtime.reconciler.sync(
                wanted, actor=ACTOR, on_progress=bar, on_report=note
            )

    reports = run(work, kept=kept)
    show_reports(reports, as_json=as_json)
    if any(report.error for report in reports):
        raise typer.Exit(EXIT_UPSTREAM)


def _announce(report: SyncReport) -> None:
    if report.duration_s >= 1:
        print_note(f"{report.server}: done in {report.duration_s:.1f} s")


def _wanting_a_look(report: SyncReport) -> Iterator[str]:
    marked = [id_ for id_ in report.marked if id_ not in report.quarantined]
    for what, ids in (("quarantined", report.quarantined), ("marked", marked)):
        if ids:
            names = ", ".join(split_id(id_)[1] for id_ in ids[:_SHOWN_NAMES])
            more = f" and {len(ids) - _SHOWN_NAMES} more" if len(ids) > _SHOWN_NAMES else ""
            yield f"{report.server}: {what}: {names}{more}. Look with `toolcrib approve`."


def show_reports(reports: Sequence[SyncReport], *, as_json: bool) -> None:
    """Print what syncs did: a row for each server, then what went wrong or wants a look."""
    if as_json:
        print_json({"changed": any(r.changed for r in reports), "servers": reports})
        return
    rows = [
        (
            r.server,
            r.status,
            len(r.added),
            len(r.updated),
            len(r.removed),
            r.unchanged,
            len(r.quarantined),
            r.malformed,
            f"{r.duration_s:.1f} s",
        )
        for r in reports
    ]
    columns = (
        "server", "status", "added", "updated", "removed", "unchanged", "quarantined", "malformed",
        "took",
    )  # fmt: skip
    empty = "No server is registered and enabled: nothing to sync."
    quiet = [column for i, column in enumerate(columns) if all(row[i] == 0 for row in rows)]
    print_table(columns, rows, empty=empty, spare=quiet[::-1])
    for report in reports:
        if report.error:
            print_note(f"{report.server}: {report.error}")
        for line in _wanting_a_look(report):
            print_note(line)
    if reports and not any(report.changed or report.error for report in reports):
        print_line("Nothing changed.")
