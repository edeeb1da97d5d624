"""Looking at the registry: what is registered, all that is known of one thing, what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from toolcrib_registry.types import (
    Change,
    EntryKind,
    Model,
    Revision,
    Server,
    ServerName,
    StdioTransport,
)
from toolcrib_server.gateway.views import render_entry
from toolcrib_server.rest.masking import masked
from toolcrib_server.runtime import Runtime

from .options import AsJson
from .output import plain, print_json, print_line, print_note, print_table
from .running import run

_PAGE = 1_000


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
    if moment is None:
        return "never"
    seconds = int((now - moment).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{max(seconds, 0)} s ago"


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
    if as_json:
        print_json([render_entry(entry) | {"enabled": entry.enabled} for entry in page.items])
        return
    if kind is EntryKind.MODEL:
        _print_models([entry for entry in page.items if isinstance(entry, Model)])
    else:
        rows = [(entry.name, entry.enabled, entry.description) for entry in page.items]
        print_table(("name", "on", "description"), rows, empty=f"No {kind} is registered.")
    _say_more(page.next_cursor, limit)


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
                model.description,
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
        "tags": server.tags,
        "origin": server.origin,
        "transport": view,
        "health": server.health,
        "addedAt": server.added_at,
    }


def show(
    name: Annotated[str, typer.Argument(help="A server, tool, model, prompt or resource.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one server or entry."""

    async def work(runtime: Runtime) -> Mapping[str, Any]:
        found = runtime.store.find_server(ServerName(name))
        if found:
            counts = {"entries": _count_tools(runtime, found.name)}
            return _server_view(found) | counts
        return render_entry(runtime.store.get_named(name))

    view = run(work)
    if as_json:
        print_json(view)
        return
    for key, value in view.items():
        print_line(f"{key}: {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, str | int | float) or value is None:
        return "-" if value is None else str(value)
    return json.dumps(plain(value), ensure_ascii=False, indent=2)


def changes(
    since: Annotated[int, typer.Option(min=0, help="Only after this revision.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = 20,
    server: Annotated[str | None, typer.Option(help="Only of this server.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed in the registry: who, what, when."""

    async def work(runtime: Runtime) -> list[Change]:
        owner = ServerName(server) if server else None
        found: list[Change] = []
        start = Revision(since)
        while page := runtime.store.list_changes(since=start, limit=_PAGE, server=owner):
            found = [*found, *page][-limit:]
            start = page[-1].revision
        return found

    found = run(work)
    if as_json:
        print_json(found)
        return
    rows = [(c.revision, c.at, c.actor, c.action, c.subject, ", ".join(c.fields)) for c in found]
    columns = ("revision", "when", "who", "what", "subject", "fields")
    print_table(columns, rows, empty="Nothing has changed yet.")
