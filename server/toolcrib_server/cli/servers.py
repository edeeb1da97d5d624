"""Looking after the registry: what is in it, and whether it is in step with its servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from toolcrib_registry.errors import AlreadyExists, InvalidInput
from toolcrib_registry.types import (
    OwnedEntry,
    Server,
    ServerName,
)
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.imports import Imported, read_import
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.sync.registrar import ImportReport
from toolcrib_server.upstream.config import server_from_command, server_from_url

from .options import AsJson
from .output import print_json, print_line, print_note, print_table, progress
from .running import EXIT_UPSTREAM, run

ACTOR = "cli"


def add(
    name: Annotated[str, typer.Argument(help="A short name: letters, digits, - and _.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND ARGS", help="What starts the server."),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where the server is, for a remote one.")] = None,
    sse: Annotated[bool, typer.Option("--sse", help="The URL speaks the old HTTP+SSE.")] = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", help="KEY=VALUE for its environment.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="NAME=VALUE sent to the URL.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag, to filter by.")] = None,
    sync_now: Annotated[bool, typer.Option("--sync/--no-sync", help="List its tools now.")] = True,
    as_json: AsJson = False,
) -> None:
    """Register an MCP server and list what it offers.

    A command: toolcrib add time -- uvx mcp-server-time

    A URL: toolcrib add docs --url https://example.com/mcp -H 'Authorization=Bearer ${TOKEN}'
    """
    server = _server(name, command or [], url, env or [], header or [], sse=sse, tags=tag or [])

    async def work(runtime: Runtime) -> tuple[SyncReport, ...]:
        try:
            await runtime.registrar.add_server(server, actor=ACTOR)
        except AlreadyExists as error:
            print_note(f"To put another in its place: toolcrib remove {name}")
            raise error from None
        if not sync_now:
            return ()
        with progress("Embedding", quiet=as_json) as bar:
            return await runtime.reconciler.sync([server.name], actor=ACTOR, on_progress=bar)

    reports = run(work)
    if reports or as_json:
        _show_reports(reports, as_json=as_json)
    else:
        print_line(f"Registered {name}.")
    if any(report.error for report in reports):
        print_note(f"{name} is registered; mend the cause and run `toolcrib sync {name}`.")
        raise typer.Exit(EXIT_UPSTREAM)


def _server(
    name: str,
    command: Sequence[str],
    url: str | None,
    env: Sequence[str],
    header: Sequence[str],
    *,
    sse: bool,
    tags: Sequence[str],
) -> Server:
    if bool(command) == bool(url):
        raise InvalidInput("Give a command after -- or a --url; one of the two.")
    if url and env:
        raise InvalidInput("--env is for a command's environment; a URL takes --header.")
    if command and header:
        raise InvalidInput("--header is for a URL; a command takes --env.")
    if url:
        headers = _pairs(header, "--header")
        kind = "sse" if sse else "http"
        return server_from_url(name, url, headers=headers, transport=kind, tags=tags, origin=ACTOR)
    pairs = _pairs(env, "--env")
    return server_from_command(name, command, env=pairs, tags=tags, origin=ACTOR)


def _pairs(values: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise InvalidInput(f"{option} {value!r}: write KEY=VALUE.")
        pairs[key.strip()] = rest
    return pairs


def import_file(
    file: Annotated[Path, typer.Argument(help="An mcpServers file, tools.jsonl, or models.")],
    base: Annotated[
        Path | None, typer.Option(help="The models that a file of provider offers refers to.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import servers, tools or models from a file.

    What it is, is seen from its content: an mcpServers file of Claude, Cursor or VS Code, a
    tools.jsonl, a catalogue of models in the shape of litellm, models.dev, OpenRouter or ours.
    """
    imported = read_import(file, base=base)
    run(lambda runtime: _import(runtime, imported, as_json=as_json))


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
    _show_reports(reports, as_json=as_json)
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


def remove(
    name: Annotated[str, typer.Argument(help="A server, with all it owns, or a model.")],
    as_json: AsJson = False,
) -> None:
    """Forget a server and everything it owns, or a model."""

    async def work(runtime: Runtime) -> str:
        if runtime.store.find_server(ServerName(name)):
            await runtime.registrar.remove_server(ServerName(name), actor=ACTOR)
            return "server"
        entry = runtime.store.get_named(name)
        if isinstance(entry, OwnedEntry):
            raise InvalidInput(
                f"{name} belongs to the server {entry.server!r} and would come back with its next "
                f"sync. Turn it off with `toolcrib disable {name}`, or remove the server."
            )
        runtime.store.remove_model(name, actor=ACTOR)
        await runtime.indexer.catch_up()
        return "model"

    what = run(work)
    if as_json:
        print_json({"removed": name, "kind": what})
    else:
        print_line(f"Removed the {what} {name}.")


def enable(name: Annotated[str, typer.Argument(help="A server or an entry.")]) -> None:
    """Turn a server or an entry on."""
    run(lambda runtime: _switch(runtime, name, on=True))


def disable(name: Annotated[str, typer.Argument(help="A server or an entry.")]) -> None:
    """Turn a server or an entry off.

    It is neither found nor callable then, and not forgotten.
    """
    run(lambda runtime: _switch(runtime, name, on=False))


async def _switch(runtime: Runtime, name: str, *, on: bool) -> None:
    state = "on" if on else "off"
    server = runtime.store.find_server(ServerName(name))
    if server:
        await runtime.registrar.update_server(replace(server, enabled=on), actor=ACTOR)
    else:
        entry = runtime.store.get_named(name)
        runtime.store.set_entry_enabled(entry.kind, name, enabled=on, actor=ACTOR)
        await runtime.indexer.catch_up()
    print_line(f"{name} is {state}.")


def sync(
    names: Annotated[list[str] | None, typer.Argument(help="Servers; all when none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the registry in step with its servers; show what changed."""
    wanted = [ServerName(name) for name in names] if names else None

    async def work(runtime: Runtime) -> tuple[SyncReport, ...]:
        say = None if as_json else partial(_announce, runtime)
        with progress("Embedding", quiet=as_json) as bar:
            return await runtime.reconciler.sync(
                wanted, actor=ACTOR, on_progress=bar, on_report=say
            )

    reports = run(work)
    _show_reports(reports, as_json=as_json)
    if any(report.error for report in reports):
        raise typer.Exit(EXIT_UPSTREAM)


def _announce(_: Runtime, report: SyncReport) -> None:
    if report.duration_s >= 1:
        print_note(f"{report.server}: done in {report.duration_s:.1f} s")


def _show_reports(reports: Sequence[SyncReport], *, as_json: bool) -> None:
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
            r.quarantined,
            f"{r.duration_s:.1f} s",
        )
        for r in reports
    ]
    columns = (
        "server", "status", "added", "updated", "removed", "unchanged", "set aside", "took",
    )  # fmt: skip
    print_table(columns, rows, empty="No server is registered and enabled: nothing to sync.")
    for report in reports:
        if report.error:
            print_note(f"{report.server}: {report.error}")
    if reports and not any(report.changed or report.error for report in reports):
        print_line("Nothing changed.")
