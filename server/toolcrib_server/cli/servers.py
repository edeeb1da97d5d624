"""Looking after the registry: servers come, go, and are switched on and off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from toolcrib_registry.errors import AlreadyExists, InvalidInput
from toolcrib_registry.types import ChangePolicy, OwnedEntry, Server, ServerName
from toolcrib_server.runtime import Runtime
from toolcrib_server.sync.reconcile import SyncReport
from toolcrib_server.upstream.config.mcp_servers import server_from_command, server_from_url

from .options import AsJson
from .output import print_json, print_line, print_note, progress
from .running import ACTOR, EXIT_UPSTREAM, run
from .syncing import show_reports


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

    reports = run(
        work, kept=lambda: f"See with `toolcrib show {name}`, then `toolcrib sync {name}`."
    )
    if reports or as_json:
        show_reports(reports, as_json=as_json)
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
    folder = folder_of(command)
    return server_from_command(name, command, env=pairs, cwd=folder, tags=tags, origin=ACTOR)


def folder_of(command: Sequence[str]) -> str | None:
    """Name this folder if the command has a path that only holds from here; else None.

    Whoever starts the server later (`serve`, an assistant) may be anywhere.
    """
    # Not `Path.exists`, which raises on a word that is too long to be a path.
    here = any(os.path.exists(word) and not os.path.isabs(word) for word in command)  # noqa: PTH110, PTH117
    return str(Path.cwd()) if here else None


def _pairs(values: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise InvalidInput(f"{option} {value!r}: write KEY=VALUE.")
        pairs[key.strip()] = rest
    return pairs


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
