"""Example questions that a registered model writes for tools: ``questions write|show|forget``."""

from __future__ import annotations

import sys
from typing import Annotated

import anyio.to_thread
import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.store import Store
from toolcrib_registry.types import EntryKind, ServerName, Tool, WrittenQuestions
from toolcrib_server.runtime import Runtime
from toolcrib_server.writing.questions import Written
from toolcrib_server.writing.survey import Survey, declared_questions

from .options import AsJson
from .output import Progress, counted, print_json, print_line, print_note, print_table, progress
from .running import ACTOR, EXIT_FAILED, run

app = typer.Typer(
    name="questions",
    help="What a registered model writes so that tools are found (TOOLCRIB_WRITER_MODEL).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MEANT = {
    "tools": "all tools",
    "declared": "given by the owner",
    "written": "written by a model",
    "refused": "written, and nothing of it could be kept",
    "suspect": "not asked for: the tool gives orders or hides text",
    "waiting": "still to be written",
}

OneServer = Annotated[
    str | None, typer.Option("--server", help="Only this server's tools.", show_default=False)
]


@app.command()
def write(
    server: OneServer = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many tools; all unless given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it costs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have example questions written for tools whose owners gave none; done is not done again.

    `serve` does so by itself, at most TOOLCRIB_WRITER_CALLS_PER_HOUR times an hour. This goes on
    until all are written, or a budget of the key `writer` is spent.

    Example: toolcrib questions write --limit 20
    """
    named = None if server is None else ServerName(server)
    bars: list[Progress] = []

    def kept() -> str:
        how_far = "".join(f"{bar} tools were asked for. " for bar in bars if str(bar))
        return f"{how_far}What was written is kept: run it again to go on."

    async def work(runtime: Runtime) -> Written:
        writer = runtime.writing.questions
        if writer.model is not None:
            await writer.find()
            waiting = len((await writer.survey(named)).waiting)
            _agree(min(waiting, limit or waiting), writer.model, yes=yes)
        with progress("Writing questions", quiet=as_json) as bar:
            bars.append(bar)
            written = await writer.write(server=named, limit=limit, on_progress=bar)
        await runtime.indexer.catch_up()
        return written

    result = run(work, kept=kept)
    if as_json:
        print_json(result)
    else:
        _tell(result)
    if result.stopped or result.failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(help="A tool; how many have questions unless given.")
    ] = None,
    server: OneServer = None,
    as_json: AsJson = False,
) -> None:
    """Show which tools have questions, and where from; or those of one tool."""
    if name is not None:
        if server is not None:
            raise InvalidInput("Give a tool's name, or --server; one of the two.")
        _show_tool(name, as_json=as_json)
        return
    named = None if server is None else ServerName(server)

    async def work(runtime: Runtime) -> tuple[str | None, Survey]:
        writer = runtime.writing.questions
        return writer.model, await writer.survey(named)

    model, found = run(work)
    counts = {
        "tools": found.tools,
        "declared": found.declared,
        "written": found.written,
        "refused": found.refused,
        "suspect": found.suspect,
        "waiting": len(found.waiting),
    }
    if as_json:
        print_json({"writer": model, **counts})
        return
    print_line(f"Writer: {model or 'none (TOOLCRIB_WRITER_MODEL is not set)'}")
    rows = [(_MEANT[key], number) for key, number in counts.items()]
    print_table(("example questions", "tools"), rows, empty="")


@app.command()
def forget(
    server: OneServer = None,
    readings: Annotated[
        bool, typer.Option("--readings", help="Forget how queries were read, and no question.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forget what was written; tools are found without it at once.

    While a writer is set, `serve` writes it anew: unset TOOLCRIB_WRITER_MODEL first.
    """
    if readings and server is not None:
        raise InvalidInput("Readings are of queries, not of a server's: leave --server out.")

    async def work(runtime: Runtime) -> int:
        if readings:
            return await anyio.to_thread.run_sync(runtime.store.written.forget_readings)
        named = None if server is None else ServerName(server)
        dropped = await runtime.writing.questions.forget(named, actor=ACTOR)
        await runtime.indexer.catch_up()
        return dropped

    count = run(work)
    if as_json:
        print_json({"forgotten": count})
    else:
        what = "reading" if readings else "set"
        print_line(f"Forgot {counted(count, what)}{'' if readings else ' of questions'}.")


def _agree(count: int, model: str, *, yes: bool) -> None:
    """Say how often a model will be asked, and ask whether that is all right."""
    if not count:
        return
    print_note(f"{model} is asked for {counted(count, 'tool')}, once or twice each.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("Nobody is there to ask whether that is all right: say so with --yes.")
    if not typer.confirm("Go on?", err=True):
        raise InvalidInput("Nothing was asked.")


def _tell(result: Written) -> None:
    cost = "unknown" if result.cost_usd is None else f"{result.cost_usd:.6g} USD"
    print_line(
        f"Written for {result.written}, refused for {result.refused}, {result.left} left. "
        f"It cost {cost}."
    )
    if result.stopped:
        print_note(f"Stopped: {result.stopped}")
    elif result.failure:
        print_note(f"{result.failed} failed, and can be tried again: {result.failure}")


def _show_tool(name: str, *, as_json: bool) -> None:
    async def work(runtime: Runtime) -> tuple[Tool, WrittenQuestions | None]:
        return await anyio.to_thread.run_sync(_find, runtime.store, name)

    tool, written = run(work)
    declared = declared_questions(tool)
    questions = declared or (list(written.questions) if written else [])
    source = "declared" if declared else "written" if questions else "none"
    if as_json:
        print_json(
            {
                "name": tool.name,
                "source": source,
                "writer": written.writer if written else None,
                "refusal": written.refusal if written else None,
                "questions": questions,
            }
        )
        return
    by = f", by {written.writer}" if written and source == "written" else ""
    print_line(f"{tool.name}: {'no example questions' if source == 'none' else source + by}")
    if written and written.refusal:
        print_line(f"  {written.writer} wrote nothing that could be kept: {written.refusal}")
    for question in questions:
        print_line(f"  {question}")


def _find(store: Store, name: str) -> tuple[Tool, WrittenQuestions | None]:
    entry = store.get_entry(EntryKind.TOOL, name)
    if not isinstance(entry, Tool):
        raise InvalidInput(f"{name} is no tool.")
    return entry, store.written.find_questions([entry.content_hash]).get(entry.content_hash)
