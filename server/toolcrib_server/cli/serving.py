"""Serving and looking after it: ``serve``, ``stdio``, ``doctor`` and ``connect``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import HttpTransport, StdioTransport
from toolcrib_server.downstream.places import Place, PlaceKind
from toolcrib_server.hosts import (
    ENTRY_NAME,
    Host,
    Machine,
    Plan,
    Scope,
    apply,
    find_executable,
    plan_connect,
    plan_remove,
    plan_undo,
)
from toolcrib_server.runtime import Runtime

from .assistant import main as serve_stdio
from .options import AsJson
from .output import print_json, print_line, print_note, print_table
from .running import EXIT_FAILED, read_settings, run, run_until_interrupted

if TYPE_CHECKING:
    from toolcrib_server.doctor import Check, Repair

_CARRIED = frozenset({"TOOLCRIB_DATA_DIR", "TOOLCRIB_DATABASE_URL", "TOOLCRIB_CACHE_DIR"})
"""Settings that say which registry is meant."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind.")] = None,
) -> None:
    """Serve MCP at /mcp and the REST API.

    Meanwhile the registry is kept in step with its servers: now, at an interval, and whenever one
    says that its list changed.
    """
    # The HTTP stack is imported here: no other verb needs it.
    from toolcrib_server.asgi import bind  # noqa: PLC0415
    from toolcrib_server.asgi import serve as serve_http  # noqa: PLC0415

    settings = read_settings(host=host, port=port)
    listener = bind(settings)
    where = f"http://{settings.host}:{listener.getsockname()[1]}"

    async def work(runtime: Runtime) -> None:
        print_note(f"Toolcrib serves MCP at {where}/mcp and REST at {where}/api/v1. Ctrl-C ends.")
        await serve_http(runtime, listener)

    # Also before the web server has taken the signals over.
    run_until_interrupted(work, host=host, port=port)


def stdio(
    server: Annotated[
        str | None, typer.Option(help="One server as it is, under its own names.")
    ] = None,
    view: Annotated[str | None, typer.Option(help="A saved view.")] = None,
) -> None:
    """Serve MCP over standard input and output: everything, one server, or a view."""
    serve_stdio(_place(server, view))


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended, and say what was done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check everything, and say what to do about what is wrong."""
    checks, repairs = run(lambda runtime: _examine(runtime, repair=repair))
    if as_json:
        print_json(
            {
                "ok": all(check.ok for check in checks),
                "checks": [_check_view(check) for check in checks],
                **({"repairs": repairs} if repair else {}),
            }
        )
    else:
        _print_checks(checks, repairs, repair=repair)
    if not all(check.ok for check in checks):
        raise typer.Exit(EXIT_FAILED)


async def _examine(runtime: Runtime, *, repair: bool) -> tuple[Sequence[Check], Sequence[Repair]]:
    from toolcrib_server import doctor as room  # noqa: PLC0415  # no other verb needs it

    checks = await room.examine(runtime)
    if not repair:
        return checks, ()
    repairs = await room.repair(checks)
    return (await room.examine(runtime) if repairs else checks), repairs


def _check_view(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "detail": check.detail,
        "ok": check.ok,
        "advice": check.advice,
        "repairable": check.mend is not None,
    }


def _print_checks(checks: Sequence[Check], repairs: Sequence[Repair], *, repair: bool) -> None:
    for done in repairs:
        print_line(f"repaired {done.name}: {done.did}" if done.ok else f"{done.name} {done.did}")
    if repair and not repairs:
        print_line("There was nothing to repair.")
    rows = [("ok" if c.ok else "WRONG", c.name, c.detail) for c in checks]
    print_table(("", "what", "detail"), rows, empty="")
    for check in checks:
        if check.advice:
            print_line(f"{check.name}: {check.advice}")


def connect(
    host: Annotated[Host, typer.Argument(help="The assistant to connect.")],
    scope: Annotated[Scope, typer.Option(help="For this user, or this project.")] = Scope.USER,
    url: Annotated[
        str | None, typer.Option(help="Connect to a served Toolcrib, as http://127.0.0.1:8321/mcp.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Connect to one server as it is.")] = None,
    view: Annotated[str | None, typer.Option(help="Connect to a view, not to everything.")] = None,
    name: Annotated[str, typer.Option(help="What the entry is called.")] = ENTRY_NAME,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last change.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the entry out.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write Toolcrib into an assistant's configuration.

    Shows the change and asks first, and keeps a backup, from which --undo restores.
    """
    place = _place(server, view)
    plan = _plan(host, scope, url, name, place=place, undo=undo, remove=remove)
    written = _carry_out(plan, yes=yes, dry_run=dry_run, quiet=as_json)
    if as_json:
        print_json(
            {
                "host": plan.host,
                "action": plan.action,
                "path": str(plan.path),
                "diff": plan.diff,
                "changed": written,
                "notes": plan.notes,
            }
        )


def _plan(
    host: Host,
    scope: Scope,
    url: str | None,
    name: str,
    *,
    place: Place | None,
    undo: bool,
    remove: bool,
) -> Plan:
    machine = Machine.current()
    if undo and remove:
        raise InvalidInput("--undo and --remove exclude each other.")
    if undo:
        return plan_undo(host, machine=machine, scope=scope, name=name)
    if remove:
        return plan_remove(host, machine=machine, scope=scope, name=name)
    # An assistant starts the command without this shell's environment.
    env = {key: value for key, value in machine.environ.items() if key in _CARRIED}
    args = ("stdio", f"--{place.kind.value}", place.name) if place else ("stdio",)
    stdio = StdioTransport(str(find_executable(machine)), args, env)
    transport = HttpTransport(_of_place(url, place)) if url else stdio
    return plan_connect(host, transport=transport, machine=machine, scope=scope, name=name)


def _place(server: str | None, view: str | None) -> Place | None:
    if server is not None and view is not None:
        raise InvalidInput("Name a server or a view, not both.")
    named = [(PlaceKind.SERVER, server), (PlaceKind.VIEW, view)]
    return next((Place(kind, name) for kind, name in named if name is not None), None)


def _of_place(url: str, place: Place | None) -> str:
    if place is None:
        return url
    root, is_mcp = url.rstrip("/").removesuffix("/mcp"), url.rstrip("/").endswith("/mcp")
    if not is_mcp:
        raise InvalidInput(f"--url {url}: give that of Toolcrib itself, which ends in /mcp.")
    name = quote(place.name)
    return (
        f"{root}/servers/{name}/mcp" if place.kind is PlaceKind.SERVER else f"{root}/mcp/v/{name}"
    )


def _carry_out(plan: Plan, *, yes: bool, dry_run: bool, quiet: bool) -> bool:
    if not plan.changes:
        if not quiet:
            for line in plan.notes or (f"{plan.path} is as it should be; nothing to change.",):
                print_line(line)
        return False
    if not quiet:
        print_line(plan.diff)
    if dry_run:
        return False
    if not yes and not _agreed(plan):
        print_note("Nothing was changed.")
        raise typer.Exit(EXIT_FAILED)
    backup = apply(plan)
    if not quiet:
        print_line(f"Changed {plan.path}." + (f" Backup: {backup}" if backup else ""))
        for note in plan.notes:
            print_line(note)
    return True


def _agreed(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput(f"{plan.path} would be changed as shown: say --yes to agree.")
    return typer.confirm("Make this change?", err=True)
