"""Views: ``view create|edit|import|export|list|show|remove``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import View, ViewMode
from toolcrib_server.runtime import Runtime

from .editing import Edits, apply_edits
from .options import AsJson
from .output import clipped, print_json, print_line, print_note, print_table
from .running import ACTOR, run

if TYPE_CHECKING:
    from toolcrib_server.views.desk import Shown


app = typer.Typer(
    name="view",
    help="Subsets of the registry, each an MCP endpoint of its own at /mcp/v/NAME.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="The view.")]
Title = Annotated[str | None, typer.Option(help="What people call it.")]
Description = Annotated[
    str | None, typer.Option(help="Instructions for the model that uses it.", show_default=False)
]
Servers = Annotated[list[str], typer.Option("--server", help="All tools of this server.")]
Tags = Annotated[list[str], typer.Option("--tag", help="All tools with this tag.")]
Tools = Annotated[list[str], typer.Option("--tool", help="This tool.")]
NotServers = Annotated[list[str], typer.Option("--not-server", help="No tool of this server.")]
NotTags = Annotated[list[str], typer.Option("--not-tag", help="No tool with this tag.")]
NotTools = Annotated[list[str], typer.Option("--not-tool", help="Not this tool.")]
Pins = Annotated[list[str], typer.Option("--pin", help="Always show this tool.")]
Renames = Annotated[list[str], typer.Option("--rename", metavar="TOOL=NAME", help="Call it so.")]
Describes = Annotated[
    list[str], typer.Option("--describe", metavar="TOOL=TEXT", help="Describe it so.")
]
Defaults = Annotated[
    list[str],
    typer.Option("--default", metavar="TOOL.PARAM=VALUE", help="Sent where the caller says none."),
]
Fixed = Annotated[
    list[str],
    typer.Option("--fix", metavar="TOOL.PARAM=VALUE", help="Always sent, and not shown."),
]
Hidden = Annotated[
    list[str], typer.Option("--hide", metavar="TOOL.PARAM", help="A parameter not to show.")
]
Mode = Annotated[ViewMode | None, typer.Option(help="List its tools, have them searched, or auto.")]
Context = Annotated[int | None, typer.Option(help="How long a context is taken to be.")]
Share = Annotated[float | None, typer.Option(help="The part of it that definitions may take.")]


@app.command()
def create(
    name: Name,
    title: Title = None,
    description: Description = None,
    server: Servers = [],  # noqa: B006  # typer's form of a repeated option
    tag: Tags = [],  # noqa: B006
    tool: Tools = [],  # noqa: B006
    not_server: NotServers = [],  # noqa: B006
    not_tag: NotTags = [],  # noqa: B006
    not_tool: NotTools = [],  # noqa: B006
    pin: Pins = [],  # noqa: B006
    rename: Renames = [],  # noqa: B006
    describe: Describes = [],  # noqa: B006
    default: Defaults = [],  # noqa: B006
    fix: Fixed = [],  # noqa: B006
    hide: Hidden = [],  # noqa: B006
    mode: Mode = None,
    context_tokens: Context = None,
    share: Share = None,
    as_json: AsJson = False,
) -> None:
    """Save a view: which tools it has, and how it shows them.

    What is more than a line or two is better written as a file: see `toolcrib view import`.
    """
    edits = Edits(
        title=title,
        description=description,
        include=(server, tag, tool),
        exclude=(not_server, not_tag, not_tool),
        pinned=pin,
        renames=rename,
        descriptions=describe,
        defaults=default,
        fixed=fix,
        hidden=hide,
        mode=mode,
        context_tokens=context_tokens,
        share=share,
    )
    view = apply_edits(View(name=name), edits)

    async def work(runtime: Runtime) -> Shown:
        await runtime.view_desk.add(view, actor=ACTOR)
        return await runtime.view_desk.show(name)

    _print_saved(run(work), as_json=as_json)


@app.command()
def edit(
    name: Name,
    title: Title = None,
    description: Description = None,
    server: Servers = [],  # noqa: B006
    tag: Tags = [],  # noqa: B006
    tool: Tools = [],  # noqa: B006
    not_server: NotServers = [],  # noqa: B006
    not_tag: NotTags = [],  # noqa: B006
    not_tool: NotTools = [],  # noqa: B006
    pin: Pins = [],  # noqa: B006
    rename: Renames = [],  # noqa: B006
    describe: Describes = [],  # noqa: B006
    default: Defaults = [],  # noqa: B006
    fix: Fixed = [],  # noqa: B006
    hide: Hidden = [],  # noqa: B006
    reset: Annotated[
        list[str], typer.Option("--reset", metavar="TOOL", help="Show it as its server does.")
    ] = [],  # noqa: B006
    mode: Mode = None,
    context_tokens: Context = None,
    share: Share = None,
    as_json: AsJson = False,
) -> None:
    """Change a view. What is given takes the place of what was; the rest stays.

    All --server together take the place of its servers, and so with every kind of selector; what
    is said of a tool is added to what was said of it.
    """
    edits = Edits(
        title=title,
        description=description,
        include=(server, tag, tool),
        exclude=(not_server, not_tag, not_tool),
        pinned=pin,
        renames=rename,
        descriptions=describe,
        defaults=default,
        fixed=fix,
        hidden=hide,
        reset=reset,
        mode=mode,
        context_tokens=context_tokens,
        share=share,
    )

    async def work(runtime: Runtime) -> Shown:
        desk = runtime.view_desk
        view = await desk.get(name)
        changed = apply_edits(view, edits)
        if changed == view:
            raise InvalidInput("Nothing to change was given: see `toolcrib view edit --help`.")
        await desk.put(changed, actor=ACTOR, seen=view.revision)
        return await desk.show(name)

    _print_saved(run(work), as_json=as_json)


@app.command("import")
def import_views(
    file: Annotated[Path, typer.Argument(help="YAML or JSON: a view, or several under views.")],
    as_json: AsJson = False,
) -> None:
    """Save the views of a file, new or in the place of those of their names."""
    from toolcrib_server.views.documents import load_views  # noqa: PLC0415  # YAML is slow to load

    views = load_views(file)

    async def work(runtime: Runtime) -> list[Shown]:
        for view in views:
            await runtime.view_desk.put(view, actor=ACTOR)
        return [await runtime.view_desk.show(view.name) for view in views]

    saved = run(work)
    if as_json:
        print_json([_summary(shown) for shown in saved])
        return
    for shown in saved:
        _print_saved(shown, as_json=False)


@app.command("export")
def export_views(
    names: Annotated[list[str] | None, typer.Argument(help="Views; all unless given.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write views as a file that `toolcrib view import` takes: YAML, or JSON."""
    from toolcrib_server.views.documents import dump_views  # noqa: PLC0415  # the same

    async def work(runtime: Runtime) -> list[View]:
        if names:
            return [await runtime.view_desk.get(name) for name in names]
        return list((await runtime.view_desk.list(limit=1000)).items)

    views = run(work)
    if not views:
        raise InvalidInput("There is no view to write.")
    text = dump_views(views, as_json=as_json)
    if output is None:
        sys.stdout.write(text)
        return
    _write(output, text)
    print_note(f"Wrote {len(views)} view{'' if len(views) == 1 else 's'} to {output}.")


@app.command("list")
def list_views(as_json: AsJson = False) -> None:
    """List the views."""

    async def work(runtime: Runtime) -> list[tuple[View, int, int]]:
        desk = runtime.view_desk
        views = (await desk.list(limit=1000)).items
        resolved = [await desk.resolve(view) for view in views]
        return [(one.view, len(one.tools), len(one.problems)) for one in resolved]

    found = run(work)
    if as_json:
        print_json([{**_view(view), "tools": n, "problems": p} for view, n, p in found])
        return
    rows = [
        (view.name, view.mode, tools, problems or None, clipped(view.title or view.description))
        for view, tools, problems in found
    ]
    print_table(("view", "mode", "tools", "problems", "title"), rows, empty="There is no view.")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what a client of a view sees, what it costs, and what of it does not hold any more."""

    async def work(runtime: Runtime) -> Shown:
        return await runtime.view_desk.show(name)

    shown = run(work)
    if as_json:
        print_json({**_summary(shown), "view": _view(shown.resolved.view)})
        return
    _print_head(shown)
    rows = [
        (
            definition["name"],
            tokens,
            shown.resolved.tools[definition["name"]].member.name,
            clipped(str(definition.get("description") or "")),
        )
        for definition, tokens in zip(shown.resolved.listed, shown.tokens, strict=True)
    ]
    print_table(("tool", "tokens", "of", "description"), rows, empty="No tool is listed.")
    _print_problems(shown)


@app.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove a view; its tools stay."""

    async def work(runtime: Runtime) -> None:
        await runtime.view_desk.remove(name, actor=ACTOR)

    run(work)
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"Removed the view {name}.")


def _print_saved(shown: Shown, *, as_json: bool) -> None:
    if as_json:
        print_json(_summary(shown))
        return
    _print_head(shown)
    _print_problems(shown)


def _print_head(shown: Shown) -> None:
    resolved = shown.resolved
    view = resolved.view
    print_line(f"{view.name}: {view.title}" if view.title else view.name)
    if view.description:
        print_line(view.description)
    shows = f"lists {len(resolved.listed)} of its {len(resolved.tools)} tools"
    how = f"{shows} and has them searched" if resolved.searches else shows
    print_line(
        f"It {how}, in {shown.total_tokens:,} tokens; all its tools would take "
        f"{shown.all_tokens:,}, and {view.budget_tokens:,} are their share."
    )
    print_line(f"Served at /mcp/v/{view.name}")


def _print_problems(shown: Shown) -> None:
    for problem in shown.resolved.problems:
        print_note(f"warning: {problem}")
    for note in shown.resolved.notes:
        print_note(note)


def _summary(shown: Shown) -> dict[str, object]:
    resolved = shown.resolved
    return {
        "name": resolved.view.name,
        "mcp": f"/mcp/v/{resolved.view.name}",
        "searches": resolved.searches,
        "tools": len(resolved.tools),
        "tokens": shown.total_tokens,
        "allTokens": shown.all_tokens,
        "budgetTokens": resolved.view.budget_tokens,
        "listed": [
            {
                "name": definition["name"],
                "tool": resolved.tools[definition["name"]].member.name,
                "tokens": tokens,
                "definition": definition,
            }
            for definition, tokens in zip(resolved.listed, shown.tokens, strict=True)
        ],
        "problems": list(resolved.problems),
        "notes": list(resolved.notes),
    }


def _view(view: View) -> dict[str, object]:
    from toolcrib_server.views.documents import render_view  # noqa: PLC0415  # the same

    return {**render_view(view), "revision": view.revision}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error
