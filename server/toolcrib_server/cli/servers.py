"""Looking after the registry: what is in it, and whether it is in step with its servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from toolcrib_registry.errors import AlreadyExists, InvalidInput
from toolcrib_registry.types import (
    ChangePolicy,
    OwnedEntry,
    Server,
    ServerName,
    split_id,
)
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.imports import Imported, read_import
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.sync.refresh import Refreshed, read_url, refresh
from toolcrib_server.sync.registrar import ImportReport
from toolcrib_server.upstream.config import server_from_command, server_from_url
from toolcrib_server.upstream.references import has_reference

from . import live
from .options import AsJson
from .output import print_json, print_line, print_note, print_table, progress
from .running import EXIT_UPSTREAM, read_settings, run, run_until_interrupted

ACTOR = "cli"
_SHOWN_NAMES = 5


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
    on_change: Annotated[
        ChangePolicy | None,
        typer.Option(help="What a change at the server does; TOOLCRIB_ON_CHANGE unless given."),
    ] = None,
    sync_now: Annotated[bool, typer.Option("--sync/--no-sync", help="List its tools now.")] = True,
    as_json: AsJson = False,
) -> None:
    """Register an MCP server and list what it offers.

    A command: toolcrib add time -- uvx mcp-server-time

    A URL: toolcrib add docs --url https://example.com/mcp -H 'Authorization=Bearer ${TOKEN}'
    """
    server = _server(name, command or [], url, env or [], header or [], sse=sse, tags=tag or [])

    async def work(runtime: Runtime) -> tuple[SyncReport, ...]:
        policy = on_change or ChangePolicy(runtime.settings.on_change)
        try:
            await runtime.registrar.add_server(replace(server, on_change=policy), actor=ACTOR)
        except AlreadyExists as error:
            error.detail += f" To put another in its place: toolcrib remove {name}"
            raise
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
        run(partial(_import_url, url=file, name=name, api_key=api_key, as_json=as_json))
        return
    policy = ChangePolicy(read_settings().on_change)
    imported = read_import(Path(file), base=base, name=name, on_change=policy)
    run(lambda runtime: _import(runtime, imported, as_json=as_json))


async def _import_url(
    runtime: Runtime, *, url: str, name: str | None, api_key: str | None, as_json: bool
) -> None:
    if api_key is not None and not has_reference(api_key):
        raise InvalidInput("--key takes a reference such as ${KEY}, never the key itself.")
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

    async def work(runtime: Runtime) -> Refreshed:
        return await refresh(
            runtime.store,
            runtime.registrar,
            runtime.secrets,
            names=names or None,
            today=datetime.now(UTC).date(),
        )

    refreshed = run(work)
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


def enable(
    name: Annotated[str, typer.Argument(help="A server or an entry.")], as_json: AsJson = False
) -> None:
    """Turn a server or an entry on."""
    run(lambda runtime: _switch(runtime, name, on=True, as_json=as_json))


def disable(
    name: Annotated[str, typer.Argument(help="A server or an entry.")], as_json: AsJson = False
) -> None:
    """Turn a server or an entry off.

    It is neither found nor callable then, and not forgotten.
    """
    run(lambda runtime: _switch(runtime, name, on=False, as_json=as_json))


async def _switch(runtime: Runtime, name: str, *, on: bool, as_json: bool) -> None:
    server = runtime.store.find_server(ServerName(name))
    if server:
        await runtime.registrar.update_server(replace(server, enabled=on), actor=ACTOR)
    else:
        entry = runtime.store.get_named(name)
        runtime.store.set_entry_enabled(entry.kind, name, enabled=on, actor=ACTOR)
        await runtime.indexer.catch_up()
    if as_json:
        print_json({"name": name, "enabled": on})
    else:
        print_line(f"{name} is {'on' if on else 'off'}.")


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


def _wanting_a_look(report: SyncReport) -> Iterator[str]:
    marked = [id_ for id_ in report.marked if id_ not in report.quarantined]
    for what, ids in (("quarantined", report.quarantined), ("marked", marked)):
        if ids:
            names = ", ".join(split_id(id_)[1] for id_ in ids[:_SHOWN_NAMES])
            more = f" and {len(ids) - _SHOWN_NAMES} more" if len(ids) > _SHOWN_NAMES else ""
            yield f"{report.server}: {what}: {names}{more}. Look with `toolcrib approve`."


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
    print_table(columns, rows, empty="No server is registered and enabled: nothing to sync.")
    for report in reports:
        if report.error:
            print_note(f"{report.server}: {report.error}")
        for line in _wanting_a_look(report):
            print_note(line)
    if reports and not any(report.changed or report.error for report in reports):
        print_line("Nothing changed.")
