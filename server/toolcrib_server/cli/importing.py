"""Whole files and lists at once: importing, and asking again those who serve models."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import ChangePolicy, ServerName
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.registrar import ImportReport
from toolcrib_server.upstream.config.references import has_reference

from .options import AsJson
from .output import print_json, print_line, print_note, print_table, progress
from .running import ACTOR, EXIT_UPSTREAM, read_settings, run
from .syncing import show_reports

if TYPE_CHECKING:
    # What reads catalogues is slow to import; so each command imports it by itself.
    from toolcrib_server.sync.imports import Imported
    from toolcrib_server.sync.refresh import Refreshed


_KEPT = "What was registered and embedded until now is kept: run it again to go on."


def import_file(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL", help="An mcpServers file, tools.jsonl, or models; or their URL."
        ),
    ],
    base: Annotated[
        Path | None, typer.Option(help="The models that a file of provider offers refers to.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model that a card is of, where it does not say.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--key", help="A reference such as ${KEY}, sent to the URL.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import servers, tools or models from a file, or models from a URL.

    What it is, is seen from its content: an mcpServers file of Claude, Cursor or VS Code, a
    tools.jsonl, a catalogue of models in the shape of litellm, models.dev, OpenRouter or ours, a
    Hugging Face card (README.md).

    A URL is an endpoint's list (http://localhost:8000/v1/models, http://localhost:11434/api/tags),
    a model's page at huggingface.co, or a catalogue.
    """
    if "://" in file:
        work = partial(_import_url, url=file, name=name, api_key=api_key, as_json=as_json)
        run(work, kept=lambda: _KEPT)
        return
    from toolcrib_server.sync.imports import read_import  # noqa: PLC0415  # slow to import

    policy = ChangePolicy(read_settings().on_change)
    imported = read_import(Path(file), base=base, name=name, on_change=policy)
    run(lambda runtime: _import(runtime, imported, as_json=as_json), kept=lambda: _KEPT)


async def _import_url(
    runtime: Runtime, *, url: str, name: str | None, api_key: str | None, as_json: bool
) -> None:
    if api_key is not None and not has_reference(api_key):
        raise InvalidInput("--key takes a reference such as ${KEY}, never the key itself.")
    from toolcrib_server.sync.imports import Imported  # noqa: PLC0415  # slow to import
    from toolcrib_server.sync.refresh import read_url  # noqa: PLC0415  # the same

    today = datetime.now(UTC).date()
    catalog = await read_url(url, name=name, api_key=api_key, secrets=runtime.secrets, today=today)
    problems = tuple(str(problem) for problem in catalog.problems)
    imported = Imported(source=url, models=catalog.models, problems=problems)
    await _import(runtime, imported, as_json=as_json)


def refresh_models(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all when none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the endpoints and cards of registered models what they say now.

    Nothing asks them by itself. What an endpoint does not list any more stays registered, and its
    offer says so.
    """
    from toolcrib_server.sync.refresh import refresh  # noqa: PLC0415  # slow to import

    async def work(runtime: Runtime) -> Refreshed:
        return await refresh(
            runtime.store,
            runtime.registrar,
            runtime.secrets,
            names=names or None,
            today=datetime.now(UTC).date(),
        )

    refreshed = run(work, kept=lambda: "A model is either as it was or renewed: run it again.")
    if as_json:
        print_json(refreshed)
    else:
        rows = [(a.place, a.models, len(a.gone), a.more, a.error) for a in refreshed.asked]
        columns = ("asked", "listed", "not listed", "not registered", "error")
        print_table(columns, rows, empty="")
        updated = refreshed.report.updated if refreshed.report else 0
        print_line(f"{updated} model{'' if updated == 1 else 's'} changed.")
    failed = [one for one in refreshed.asked if one.error]
    for one in failed:
        print_note(f"{one.place}: {one.error}")
    if failed:
        print_note(f"{len(failed)} of {len(refreshed.asked)} sources did not answer.")
        raise typer.Exit(EXIT_UPSTREAM)


async def _import(runtime: Runtime, imported: Imported, *, as_json: bool) -> None:
    for problem in imported.problems:
        print_note(f"warning: {problem}")
    if imported.servers:
        await _import_servers(runtime, imported, as_json=as_json)
        return
    with progress("Embedding", quiet=as_json) as bar:
        if imported.tools:
            report = await runtime.registrar.import_tools(
                imported.tools, source=imported.source, actor=ACTOR, on_progress=bar
            )
        else:
            report = await runtime.registrar.import_models(
                imported.models, actor=ACTOR, on_progress=bar
            )
    for problem in report.problems:
        print_note(f"warning: {problem}")
    _show_import(imported.source, report, as_json=as_json)


async def _import_servers(runtime: Runtime, imported: Imported, *, as_json: bool) -> None:
    names: list[ServerName] = []
    for server in imported.servers:
        if runtime.store.find_server(server.name):
            await runtime.registrar.update_server(server, actor=ACTOR)
        else:
            await runtime.registrar.add_server(server, actor=ACTOR)
        if server.enabled:
            names.append(server.name)
        else:
            print_note(f"{server.name} is registered and off, as the file says.")
    with progress("Embedding", quiet=as_json) as bar:
        reports = await runtime.reconciler.sync(names, actor=ACTOR, on_progress=bar)
    show_reports(reports, as_json=as_json)
    if any(report.error for report in reports):
        raise typer.Exit(EXIT_UPSTREAM)


def _show_import(source: str, report: ImportReport, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": source, "changed": report.changed, "report": report})
        return
    of = f" ({report.servers} servers)" if report.servers else ""
    print_line(
        f"{Path(source).name}{of}: {report.added} added, {report.updated} updated, "
        f"{report.removed} removed, {report.unchanged} unchanged; "
        f"{report.index.embedded} texts embedded."
    )
