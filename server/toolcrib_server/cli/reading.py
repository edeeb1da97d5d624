"""Looking at the registry: what is registered, and all that is known of one thing, now or then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import (
    Change,
    Entry,
    EntryKind,
    Model,
    Revision,
    Server,
    ServerName,
    StdioTransport,
    split_id,
)
from toolcrib_server.gateway.rendering import render_entry
from toolcrib_server.relay.servers import endpoint_of
from toolcrib_server.rest.masking import masked
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.freshness import say_age, say_stale, stale_since, stale_view
from toolcrib_server.sync.history import MAX_REVISIONS, Past, list_revisions, read_revision

from .changes import print_changes
from .marks import say_trust, trust_view
from .options import AsJson
from .outline import outline
from .output import clipped, plain, print_json, print_line, print_note, print_table
from .running import run

_STDERR_SHOWN = 10
"""Lines of standard error; `toolcrib logs` shows more."""


class Listed(StrEnum):
    """What can be listed."""

    SERVERS = "servers"
    TOOLS = "tools"
    MODELS = "models"
    PROMPTS = "prompts"
    RESOURCES = "resources"


def list_entries(
    what: Annotated[Listed, typer.Argument(help="What to list.")] = Listed.SERVERS,
    server: Annotated[str | None, typer.Option(help="Only what this server owns.")] = None,
    text: Annotated[str | None, typer.Option(help="Only with this text in it.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List what is registered."""
    if what is Listed.SERVERS:
        run(lambda runtime: _list_servers(runtime, limit, as_json=as_json))
        return
    kind = EntryKind(what.value.removesuffix("s"))
    run(lambda runtime: _list_kind(runtime, kind, server, text, limit, as_json=as_json))


async def _list_servers(runtime: Runtime, limit: int, *, as_json: bool) -> None:
    page = runtime.store.list_servers(limit=limit)
    if as_json:
        print_json([_server_view(server) for server in page.items])
        return
    now = datetime.now(UTC)
    rows = [
        (
            server.name,
            _status(server),
            _count_tools(runtime, server.name),
            _age(server.health.synced_at, now) if server.callable else None,
            _where(server),
        )
        for server in page.items
    ]
    columns = ("name", "status", "entries", "synced", "where")
    print_table(
        columns, rows, empty="No server is registered. Add one: toolcrib add NAME -- COMMAND"
    )
    _say_more(page.next_cursor, limit)


def _count_tools(runtime: Runtime, name: ServerName) -> int:
    return len(runtime.store.entry_hashes(name))


def _status(server: Server) -> str:
    if not server.enabled:
        return "disabled"
    return server.health.status if server.callable else "catalogue"


def _age(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{say_age(moment, now)} ago"


def _where(server: Server) -> str:
    match masked(server.transport):
        case StdioTransport(command=command, args=args):
            return " ".join([Path(command).name, *args])
        case transport:
            return getattr(transport, "url", None) or getattr(transport, "source", "")


async def _list_kind(
    runtime: Runtime,
    kind: EntryKind,
    server: str | None,
    text: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    owner = runtime.store.get_server(ServerName(server)).name if server else None
    page = runtime.store.list_entries(kind=kind, server=owner, text=text, limit=limit)
    stale = runtime.store.stale_servers()
    if as_json:
        print_json(
            [
                render_entry(entry)
                | {"enabled": entry.enabled}
                | trust_view(entry)
                | stale_view(entry, stale)
                for entry in page.items
            ]
        )
        return
    if kind is EntryKind.MODEL:
        _print_models([entry for entry in page.items if isinstance(entry, Model)])
    else:
        _print_entries(kind, page.items, stale)
    _say_more(page.next_cursor, limit)


def _print_entries(
    kind: EntryKind, entries: Sequence[Entry], stale: Mapping[ServerName, datetime]
) -> None:
    """Print entries; where a server cannot be reached, there is a column to say since when."""
    now = datetime.now(UTC)
    ages = [(since := stale_since(e, stale)) and say_stale(since, now) for e in entries]
    aged, marked = any(ages), any(trust_view(entry) for entry in entries)
    rows = [
        (
            entry.name,
            entry.enabled,
            *((say_trust(entry),) if marked else ()),
            *((age,) if aged else ()),
            clipped(entry.description),
        )
        for entry, age in zip(entries, ages, strict=True)
    ]
    columns = (
        "name", "on", *(("trust",) if marked else ()), *(("stale",) if aged else ()), "description",
    )  # fmt: skip
    print_table(columns, rows, empty=f"No {kind} is registered.")


def _print_models(models: Sequence[Model]) -> None:
    rows: list[tuple[object, ...]] = []
    for model in models:
        context, license_ = model.descriptor.context_tokens, model.descriptor.license
        prices = [offer.price_in_usd.value for offer in model.offers if offer.price_in_usd]
        rows.append(
            (
                model.name,
                model.enabled,
                len(model.offers),
                min(prices) if prices else None,
                context.value if context else None,
                license_.value if license_ else None,
                clipped(model.description),
            )
        )
    columns = ("name", "on", "offers", "USD in from", "context", "licence", "description")
    print_table(columns, rows, empty="No model is registered.")


def _say_more(next_cursor: str | None, limit: int) -> None:
    if next_cursor:
        print_note(f"These are the first {limit}; --limit shows more.")


def _server_view(server: Server) -> dict[str, Any]:
    transport = masked(server.transport)
    view: dict[str, Any] = {"type": type(transport).__name__.removesuffix("Transport").lower()}
    match transport:
        case StdioTransport(command=command, args=args, env=env, cwd=cwd):
            view |= {"command": command, "args": args, "env": sorted(env), "cwd": cwd}
        case _:
            view |= {"where": _where(server), "headers": sorted(getattr(transport, "headers", {}))}
    return {
        "name": server.name,
        "enabled": server.enabled,
        "onChange": server.on_change,
        "tags": server.tags,
        "origin": server.origin,
        "transport": view,
        "health": server.health,
        "addedAt": server.added_at,
    }


def show(
    name: Annotated[str, typer.Argument(help="A server, tool, model, prompt or resource.")],
    revision: Annotated[
        int | None, typer.Option(min=1, help="As this revision of it left it.")
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Every revision of it, and what each changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one server or entry.

    With --history or --revision, also of one that is gone.
    """
    if history and revision is not None:
        raise InvalidInput("--history and --revision exclude each other.")
    if history:
        found = run(lambda runtime: _history(runtime, name))
        print_changes(found, diff=True, as_json=as_json)
        return
    if revision is not None:
        _show_past(run(lambda runtime: _past(runtime, name, revision)), as_json=as_json)
        return

    async def work(runtime: Runtime) -> Mapping[str, Any]:
        found = runtime.store.find_server(ServerName(name))
        if found:
            counts = {"entries": _count_tools(runtime, found.name)}
            path = endpoint_of(found)
            served = {"endpoint": f"{runtime.settings.base_url}{path}"} if path else {}
            return _server_view(found) | counts | served | _stderr_view(runtime, found)
        entry = runtime.store.get_named(name)
        shown = render_entry(entry) | trust_view(entry) | await _needs_view(runtime, entry)
        return shown | stale_view(entry, runtime.store.stale_servers())

    _print_view(run(work), as_json=as_json)


async def _needs_view(runtime: Runtime, entry: Entry) -> dict[str, Any]:
    """Show what comes along with it, how that is known, and what a person refused."""
    needs = await runtime.companions.needs(entry)
    pairs = sorted(runtime.companions.refused)
    refused = [split_id(needed)[1] for tool, needed in pairs if tool == entry.id]
    shown = {"needs": [asdict(need) for need in needs], "refusedNeeds": refused}
    return {key: value for key, value in shown.items() if value}


def _stderr_view(runtime: Runtime, server: Server) -> dict[str, Any]:
    if not isinstance(server.transport, StdioTransport):
        return {}
    return {"stderr": runtime.stderr_logs.read(server.name, lines=_STDERR_SHOWN)}


def _print_view(view: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for line in outline(plain(view)):
        print_line(line)


async def _history(runtime: Runtime, name: str) -> tuple[Change, ...]:
    if runtime.store.last_changes(subject=f"server:{name}", limit=1):
        return runtime.store.last_changes(subject=f"server:{name}", limit=MAX_REVISIONS)
    return list_revisions(runtime.store, None, name, limit=MAX_REVISIONS)


async def _past(runtime: Runtime, name: str, revision: int) -> Past:
    return read_revision(runtime.store, None, name, Revision(revision))


def _show_past(past: Past, *, as_json: bool) -> None:
    change = past.change
    said = past.definition or {}
    head = {"subject": change.subject, "revision": change.revision, "action": change.action}
    head |= {"at": change.at, "actor": change.actor, "server": change.server}
    head |= {"related": change.related, "marks": change.marks}
    if as_json:
        print_json({**head, "definition": past.definition})
        return
    shown = {key: plain(value) for key, value in head.items() if value}
    _print_view({**shown, **said}, as_json=False)
